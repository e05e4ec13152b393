"""Layer dumps of other tools, and which kind of model a path is."""
