"""What keeps a lossy layer in fp32, and what shows its fault to others."""
