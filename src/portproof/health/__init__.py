"""What a host needs for the devices of one vendor: one file a vendor, ``<vendor>.py``, found by its
name.

Each defines ``checks(target, host)``, which yields a :class:`portproof.health.host.Check` for
everything that this target needs beside what all targets need.
"""
