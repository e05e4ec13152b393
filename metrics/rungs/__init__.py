"""The ladder of loss: one set of samples through every form of a model, one after the other."""
