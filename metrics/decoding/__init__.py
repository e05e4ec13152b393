"""From the result files of a sample to its prediction."""
