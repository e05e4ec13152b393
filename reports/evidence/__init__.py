"""Whether a run directory still proves what its report says."""
