-- The fleet: every version that ever was. The newest is current; the others tell who changed what.
CREATE TABLE fleets (
  version       INTEGER PRIMARY KEY,
  document      TEXT    NOT NULL,  -- JSON of comporta.domain.fleet.Fleet
  changed_at_ms INTEGER NOT NULL,
  changed_by    TEXT    NOT NULL,
  summary       TEXT    NOT NULL
) STRICT;

-- What the ledger has of each partition of the log, and who may write about it.
CREATE TABLE partitions (
  partition INTEGER PRIMARY KEY,
  token     INTEGER NOT NULL,  -- fencing token of the owner's lease
  offset    INTEGER NOT NULL,  -- of the last log entry taken over
  last_id   INTEGER NOT NULL   -- highest event or delivery id made in this partition
) STRICT;

CREATE TABLE events (
  id                 INTEGER PRIMARY KEY,  -- see comporta.domain.ids
  accepted_at_ms     INTEGER NOT NULL,
  instance_id        TEXT    NOT NULL,
  source_id          TEXT    NOT NULL,
  event_type         TEXT    NOT NULL,
  account_id         INTEGER,
  subject            TEXT    NOT NULL,
  verified           INTEGER NOT NULL,
  headers            TEXT    NOT NULL,  -- JSON: [[name, value], …]
  body_bytes         INTEGER NOT NULL,
  duplicate_of       INTEGER
) STRICT;
CREATE INDEX events_by_subject ON events (subject, id) WHERE subject != '';

-- Bodies stand apart, so that listing events does not read them and they can be pruned first.
CREATE TABLE bodies (
  event_id INTEGER PRIMARY KEY,
  body     BLOB NOT NULL
) STRICT;

CREATE TABLE deliveries (
  id             INTEGER PRIMARY KEY,  -- also the order within a lane
  event_id       INTEGER NOT NULL,
  route_id       TEXT    NOT NULL,
  destination_id TEXT    NOT NULL,
  partition      INTEGER NOT NULL,
  lane           INTEGER NOT NULL,
  state          TEXT    NOT NULL
                 CHECK (state IN ('pending', 'scheduled', 'delivered', 'dead', 'discarded')),
  attempts       INTEGER NOT NULL,  -- in the present run of the retry schedule
  due_at_ms      INTEGER NOT NULL,
  settled_at_ms  INTEGER NOT NULL,
  reason         TEXT    NOT NULL,
  replay         INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_open ON deliveries (partition, destination_id, lane, id, due_at_ms)
  WHERE state IN ('pending', 'scheduled');
CREATE INDEX deliveries_dead ON deliveries (id) WHERE state = 'dead';
CREATE INDEX deliveries_by_event ON deliveries (event_id);

CREATE TABLE attempts (
  delivery_id   INTEGER NOT NULL,
  number        INTEGER NOT NULL,
  started_at_ms INTEGER NOT NULL,
  duration_ms   REAL    NOT NULL,
  status        INTEGER,
  error         TEXT    NOT NULL,
  response      BLOB    NOT NULL,
  PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;

-- What repeats are found by (comporta.domain.dedupe), after four bytes that keep together what
-- belongs together. A bucket is a window long.
CREATE TABLE seen (
  bucket   INTEGER NOT NULL,
  key      BLOB    NOT NULL,
  event_id INTEGER NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

-- The account of a source, once an event has named it: older Chatwoots leave it out elsewhere.
CREATE TABLE source_accounts (
  source_id  TEXT PRIMARY KEY,
  account_id INTEGER NOT NULL
) STRICT;

-- Lanes that somebody changed from outside: their owner looks at them again.
CREATE TABLE nudges (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  partition      INTEGER NOT NULL,
  destination_id TEXT    NOT NULL,
  lane           INTEGER NOT NULL,
  nudged_at_ms   INTEGER NOT NULL
) STRICT;

-- Written to find out whether the file can be written again after a failure.
CREATE TABLE probe (
  id     INTEGER PRIMARY KEY,
  filler BLOB NOT NULL
) STRICT;
