"""From an HTTP request to a durable event: bound it, know the caller, verify, append, answer."""
