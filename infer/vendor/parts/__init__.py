"""What the vendor tools share."""
