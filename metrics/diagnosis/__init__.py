"""Why a port is less accurate than its reference."""
