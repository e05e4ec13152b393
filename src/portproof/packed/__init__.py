"""Many samples in one file: their ids, their rows, and packed results."""
