"""Sidecars: what a stage read and wrote, whether that still holds, and which stage made
which file.
"""
