"""The commands that belong to no stage: one file a command."""
