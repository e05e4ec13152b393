"""From the bytes of one image to the values that a model reads."""
