"""What the demonstrations share: making data, and training."""
