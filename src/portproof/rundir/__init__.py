"""The run directory of a port: layout, settings, steps, and verdict."""
