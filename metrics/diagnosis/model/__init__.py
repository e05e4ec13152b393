"""Faults inside a model: its layers, their weights, its normalisation."""
