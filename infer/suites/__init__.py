"""Suites: several models, timed with the same subjects, in the form of a published table."""
