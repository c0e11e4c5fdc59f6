"""Migrations of the ledger, one set a database."""
