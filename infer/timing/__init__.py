"""Benches: subjects timed against each other, every call's seconds kept."""
