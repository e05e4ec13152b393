"""Results without labels: how far a port's outputs are from its reference's, against rounding."""
