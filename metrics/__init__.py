"""Accuracy of results, comparison of two results, and throughput from logs."""
