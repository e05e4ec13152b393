"""Per-operator time: taken by a runtime's own profiler, or read from a tool's file."""
