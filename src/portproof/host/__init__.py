"""Facts about this host: which vendor software is installed, in which version, and which devices
there are.
"""
