-- Which server a worker belongs to, and whether it takes a share of the partitions.
ALTER TABLE workers ADD COLUMN server TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN dispatches INTEGER NOT NULL DEFAULT 1;

-- What one process at a time does for all, and until when it is that one's.
CREATE TABLE duties (
  name          TEXT PRIMARY KEY,
  holder        TEXT    NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
