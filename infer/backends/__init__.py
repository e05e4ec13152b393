"""One file per backend: what executes a model in this process. A new backend is a new file here,
found by its name.
"""
