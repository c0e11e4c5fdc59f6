"""Migrations of the state's SQLite file."""
