"""What became of the numbers of results: their form in files, and their values."""
