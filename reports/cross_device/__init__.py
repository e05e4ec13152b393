"""The table that compares devices, from measurements and logs."""
