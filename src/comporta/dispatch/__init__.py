"""From the log to the destinations: partitions, lanes, attempts, outcomes."""
