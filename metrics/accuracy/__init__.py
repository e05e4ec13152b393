"""Result folders against a label file: Top-N and the outcome of every sample."""
