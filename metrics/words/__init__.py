"""Measures of texts that several tasks share."""
