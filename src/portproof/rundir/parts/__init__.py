"""Ports of several models: the parts of a card, their plan, what judges a part, and their speed."""
