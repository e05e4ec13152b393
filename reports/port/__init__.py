"""The reports of one port, from its run directory."""
