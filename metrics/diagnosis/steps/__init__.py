"""The search for faults, step by step: what is left to explain once a fault is found."""
