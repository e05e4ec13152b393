"""Faults of ports of other tasks: inputs, outputs and post-processing."""
