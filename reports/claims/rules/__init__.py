"""The pieces of the README audit: what a document shows, and one module per kind of check.

A module of this package that has a function ``check(facts)`` is a check and is found by that; a new
check is a new file.
"""
