"""One file per log family. A new family is a new file here, found by its name."""
