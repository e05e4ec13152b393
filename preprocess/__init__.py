"""Preprocess images to ``.bin`` files and write the lists and labels that go with them."""
