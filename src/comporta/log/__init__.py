"""The durable, partitioned queue between ingest and dispatch: a small port, a module an engine."""
