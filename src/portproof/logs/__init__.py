"""Logs of vendor tools: opened, recognised by content, read into runs with figures, and checked."""
