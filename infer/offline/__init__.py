"""Offline inference: samples in, one result file a sample and output, or packed results."""
