"""The claims that a port's README makes, held against what it shows itself."""
