"""Two results of the same samples: differences, intervals and the verdict."""
