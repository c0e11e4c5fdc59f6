"""The store of record: fleet, events, deliveries, attempts. SQL lives here and nowhere else."""
