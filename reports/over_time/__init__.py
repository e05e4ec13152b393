"""A port over time: frozen runs, a new run against one of them, and their history."""
