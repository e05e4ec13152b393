"""A run directory as one file that can be sent: packed, signed, and opened without trust."""
