"""What builds a model: one file per kind of builder, found by the prefix in a model card."""
