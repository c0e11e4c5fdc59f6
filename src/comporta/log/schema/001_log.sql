-- One row is one group commit: all records that became durable together, of any partition.
CREATE TABLE log (
  last    INTEGER PRIMARY KEY,  -- offset of the row's last record; offsets are dense within a row
  count   INTEGER NOT NULL,
  mask    INTEGER NOT NULL,     -- bit p is set if a record of partition p is inside
  records BLOB NOT NULL         -- see frames.py
) STRICT;

-- How far the ledger has each partition: the log may forget what every partition is past.
CREATE TABLE watermarks (
  partition INTEGER PRIMARY KEY,
  offset    INTEGER NOT NULL
) STRICT;

-- Written to find out whether the file can be written again after a failure.
CREATE TABLE probe (
  id     INTEGER PRIMARY KEY,
  filler BLOB NOT NULL
) STRICT;

-- The number of partitions, for good: an event's partition depends on it.
CREATE TABLE layout (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  partitions INTEGER NOT NULL
) STRICT;
