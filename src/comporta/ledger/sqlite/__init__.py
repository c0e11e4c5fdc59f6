"""The embedded ledger."""
