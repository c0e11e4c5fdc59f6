"""What several workers must agree on right now: leases, who is alive, the rejected ring."""
