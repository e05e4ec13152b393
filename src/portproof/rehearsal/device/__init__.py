"""The simulated extension module ``aclruntime`` and what is below it."""
