"""Whole data sets: images found, preprocessed, packed and listed."""
