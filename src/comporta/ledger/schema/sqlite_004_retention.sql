-- How much came in, in each span of time: bytes stay what they were when everything of a span is
-- pruned with it, so that nobody has to count what is stored. Only kept where a size is limited.
CREATE TABLE measures (
  kind     TEXT    NOT NULL,  -- bodies, events, attempts
  start_ms INTEGER NOT NULL,
  rows     INTEGER NOT NULL,
  bytes    INTEGER NOT NULL,
  settled  INTEGER NOT NULL,  -- 0: more may be added to what came in then
  PRIMARY KEY (kind, start_ms)
) STRICT, WITHOUT ROWID;

-- How much was stored, and how much more there was room for.
CREATE TABLE growth (
  at_ms        INTEGER PRIMARY KEY,
  stored_bytes INTEGER NOT NULL,
  free_bytes   INTEGER NOT NULL
) STRICT;
