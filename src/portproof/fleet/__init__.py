"""A port on many hosts: Ray says where a device is, and a step of the port runs there as the same
command that it is on one host. Ray itself is imported in :mod:`portproof.fleet.cluster` alone.
"""
