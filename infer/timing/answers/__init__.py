"""Whether what was timed also answered right: no rate without it."""
