"""The steps of a port that differ by vendor: one file a vendor, found by the vendor of a target."""
