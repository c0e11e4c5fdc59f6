"""What several workers must agree on right now: leases, breakers, rates, the rejected ring."""
