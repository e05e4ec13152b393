"""One file per backend: what executes a model in this process, found by its name."""
