-- Who is alive. A worker that has not been heard of for a lease is as good as dead.
CREATE TABLE workers (
  id            TEXT PRIMARY KEY,
  pid           INTEGER NOT NULL,
  started_at_ms INTEGER NOT NULL,
  beat_at_ms    INTEGER NOT NULL,
  partitions    INTEGER NOT NULL
) STRICT;

-- Who owns a partition, until when. The token rises with each new owner and never falls.
CREATE TABLE leases (
  partition     INTEGER PRIMARY KEY,
  worker_id     TEXT    NOT NULL,
  token         INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT;

-- The newest refused requests.
CREATE TABLE rejected (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms      INTEGER NOT NULL,
  status     INTEGER NOT NULL,
  reason     TEXT    NOT NULL,
  method     TEXT    NOT NULL,
  path       TEXT    NOT NULL,
  peer       TEXT    NOT NULL,
  source_id  TEXT    NOT NULL,
  headers    TEXT    NOT NULL,  -- JSON: [[name, value], …]
  body_bytes INTEGER NOT NULL
) STRICT;
