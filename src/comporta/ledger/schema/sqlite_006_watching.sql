-- How much happened in a span of time, by instance or destination; see comporta.ledger.watching.
CREATE TABLE slots (
  kind       TEXT    NOT NULL,  -- events, attempts
  start_ms   INTEGER NOT NULL,
  name       TEXT    NOT NULL,  -- an id of the fleet
  count      INTEGER NOT NULL,
  bad        INTEGER NOT NULL,
  spent_ms   INTEGER NOT NULL,
  last_at_ms INTEGER NOT NULL,
  minutes    INTEGER NOT NULL,  -- a bit for each minute in which something happened
  PRIMARY KEY (kind, start_ms, name)
) STRICT, WITHOUT ROWID;

-- Small texts that are replaced as a whole, if they are still of the version that was read.
CREATE TABLE documents (
  name    TEXT    PRIMARY KEY,
  version INTEGER NOT NULL,
  text    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
