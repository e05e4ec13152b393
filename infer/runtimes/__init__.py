"""What several backends need of a vendor's runtime."""
