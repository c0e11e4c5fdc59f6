-- Event classes, and since when a delivery has been tried in vain.
ALTER TABLE deliveries ADD COLUMN conflate INTEGER NOT NULL DEFAULT 0;  -- not 0: only the newest of
                                                                        -- a lane with this number is kept
ALTER TABLE deliveries ADD COLUMN tried_at_ms INTEGER NOT NULL DEFAULT 0;  -- first attempt of the
                                                                           -- present run; 0: none
CREATE INDEX deliveries_conflated ON deliveries (partition, destination_id, lane, conflate)
  WHERE conflate != 0 AND state IN ('pending', 'scheduled');

-- What people did to deliveries: who, when, to which, how many.
CREATE TABLE operations (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms  INTEGER NOT NULL,
  who    TEXT    NOT NULL,
  what   TEXT    NOT NULL,  -- redrive, replay, discard, …
  which  TEXT    NOT NULL,  -- JSON of the filter
  count  INTEGER NOT NULL
) STRICT;

-- The highest bit of a lane's number marks the lanes of redrives and replays from now on.
UPDATE deliveries SET lane = lane & ~(1 << 62) WHERE state IN ('pending', 'scheduled');

-- What repeats are known by, 16 bytes each; a repeat has those only that were new. They stand with
-- the event, at the end of the table, and are looked for in memory (comporta.ledger.repeats): keys
-- are random, and an index of them, written and synced, would cost an event more than all the rest.
ALTER TABLE events ADD COLUMN keys BLOB NOT NULL DEFAULT x'';
DROP TABLE seen;

-- A new event goes to a part of the index that is half a minute long (2^37 of an id), however many
-- events are stored. Asking for a subject looks into each part.
DROP INDEX events_by_subject;
CREATE INDEX events_by_subject ON events (id >> 37, subject) WHERE subject != '';
