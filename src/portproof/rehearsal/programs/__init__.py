"""The simulated vendor programs: one file a program."""
