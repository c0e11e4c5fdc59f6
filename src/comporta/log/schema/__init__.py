"""Migrations of the log's SQLite file."""
