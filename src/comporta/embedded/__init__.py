"""What the engines on SQLite share: opening a file safely, group commit, checkpoints, migrations."""
