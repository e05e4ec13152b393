"""Sidecars: what a stage read and wrote, whether it still holds, and who made a file."""
