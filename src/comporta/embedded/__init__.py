"""What the engines on SQLite share: safe opening, group commit, checkpoints, migrations."""
