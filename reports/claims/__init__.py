"""The claims that a port's README makes, compared with what it shows itself."""
