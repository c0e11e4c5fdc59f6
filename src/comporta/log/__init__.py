"""The durable, partitioned queue between ingest and dispatch: one small port, one engine a module."""
