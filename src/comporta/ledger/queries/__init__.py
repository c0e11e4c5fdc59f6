"""The ledger's SQL: named blocks in `.sql` files, one file a database."""
