"""Ports of several models: their plan, what judges a part, and the speed of all together."""
