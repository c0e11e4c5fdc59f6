"""A log of this server before one that may be away."""
