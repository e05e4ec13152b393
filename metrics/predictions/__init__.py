"""Predictions, one file for each kind.

A kind's module has ``read(path, truth)``: ready predictions (what a user's own post-processing
wrote), as sample id -> prediction, or None when the path holds no such thing (result files, say).
"""
