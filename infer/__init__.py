"""Run a model offline over preprocessed samples, and measure its speed."""
