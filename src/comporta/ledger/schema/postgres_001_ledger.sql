-- Comporta's ledger in PostgreSQL, in a schema of its own. See sqlite_*.sql for what is meant by
-- each table; here stands what is different.
--
-- events, bodies, deliveries and attempts are in parts of a day: ids begin with the time
-- (comporta.domain.ids), so a day is a range of them, and old days are forgotten by dropping tables.
-- There is no DEFAULT part on purpose: a new part would have to lock it, nothing could be detached
-- beside running queries, and rows could not be read in the order of the parts. Whoever needs a part
-- that is not there makes it (comporta.ledger.postgres.days).
-- Say a range of ids in every question, where it is known: it keeps the other days out of the plan.

CREATE TABLE fleets (
  version       bigint PRIMARY KEY,
  document      text   NOT NULL,  -- JSON of comporta.domain.fleet.Fleet
  changed_at_ms bigint NOT NULL,
  changed_by    text   NOT NULL,
  summary       text   NOT NULL
);

-- A row changes with every batch: half of each page is left for its next versions.
CREATE TABLE partitions (
  partition  integer PRIMARY KEY,
  token      bigint  NOT NULL,  -- fencing token of the owner's lease
  log        text    NOT NULL,  -- which log the offset is of
  log_offset bigint  NOT NULL,  -- of the last log entry taken over
  last_id    bigint  NOT NULL   -- highest event or delivery id made in this partition
) WITH (fillfactor = 50);

CREATE TABLE events (
  id             bigint  NOT NULL PRIMARY KEY,
  accepted_at_ms bigint  NOT NULL,
  instance_id    text    NOT NULL,
  source_id      text    NOT NULL,
  event_type     text    NOT NULL,
  account_id     bigint,
  subject        text    NOT NULL,
  verified       boolean NOT NULL,
  headers        text    NOT NULL,  -- JSON: [[name, value], …]
  body_bytes     integer NOT NULL,
  duplicate_of   bigint,
  keys           bytea   NOT NULL   -- what repeats are known by, 16 bytes each
) PARTITION BY RANGE (id);
-- A new event goes to a part of the index that is 17 minutes long (2^42 of an id), however many
-- events are stored. Asking for a subject looks into each part.
CREATE INDEX events_by_subject ON events ((id >> 42), subject, id) WHERE subject <> '';

CREATE TABLE bodies (
  event_id bigint NOT NULL PRIMARY KEY,
  body     bytea  NOT NULL
) PARTITION BY RANGE (event_id);

CREATE TABLE deliveries (
  id             bigint  NOT NULL PRIMARY KEY,  -- also the order within a lane
  event_id       bigint  NOT NULL,  -- lower than the id, and maybe of an earlier day (replays)
  route_id       text    NOT NULL,
  destination_id text    NOT NULL,
  partition      integer NOT NULL,
  lane           bigint  NOT NULL,
  state          text    NOT NULL
                 CHECK (state IN ('pending', 'scheduled', 'delivered', 'dead', 'discarded')),
  attempts       integer NOT NULL,  -- in the present run of the retry schedule
  due_at_ms      bigint  NOT NULL,
  settled_at_ms  bigint  NOT NULL,
  reason         text    NOT NULL,
  replay         boolean NOT NULL,
  conflate       bigint  NOT NULL,  -- not 0: only the newest of a lane with this number is kept
  tried_at_ms    bigint  NOT NULL   -- first attempt of the present run; 0: none
) PARTITION BY RANGE (id);
CREATE INDEX deliveries_open ON deliveries (partition, destination_id, lane, id)
  WHERE state IN ('pending', 'scheduled');
CREATE INDEX deliveries_conflated ON deliveries (partition, destination_id, lane, conflate)
  WHERE conflate <> 0 AND state IN ('pending', 'scheduled');
CREATE INDEX deliveries_dead ON deliveries (id) WHERE state = 'dead';
CREATE INDEX deliveries_by_event ON deliveries (event_id);

-- In the part of its delivery, whenever it was made.
CREATE TABLE attempts (
  delivery_id   bigint  NOT NULL,
  number        integer NOT NULL,
  started_at_ms bigint  NOT NULL,
  duration_ms   double precision NOT NULL,
  status        integer,
  error         text    NOT NULL,
  response      bytea   NOT NULL,
  PRIMARY KEY (delivery_id, number)
) PARTITION BY RANGE (delivery_id);

CREATE TABLE source_accounts (
  source_id  text   PRIMARY KEY,
  account_id bigint NOT NULL
);

-- Read from a number on, so numbers have to become visible in their order: whoever adds some holds
-- an advisory lock until its transaction ends (comporta.ledger.postgres.signals).
CREATE TABLE nudges (
  id             bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  partition      integer NOT NULL,
  destination_id text    NOT NULL,
  lane           bigint  NOT NULL,
  nudged_at_ms   bigint  NOT NULL
);

CREATE TABLE operations (
  id    bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at_ms bigint  NOT NULL,
  who   text    NOT NULL,
  what  text    NOT NULL,  -- redrive, replay, discard, …
  which text    NOT NULL,  -- JSON of the filter
  count integer NOT NULL
);

CREATE TABLE api_keys (
  id              text   PRIMARY KEY,
  name            text   NOT NULL,
  scope           text   NOT NULL CHECK (scope IN ('read', 'operate', 'admin')),
  digest          text   NOT NULL UNIQUE,  -- SHA-256, hexadecimal
  hint            text   NOT NULL,
  created_at_ms   bigint NOT NULL,
  created_by      text   NOT NULL,
  last_used_at_ms bigint NOT NULL,  -- 0: never
  revoked_at_ms   bigint NOT NULL   -- 0: live
);
CREATE UNIQUE INDEX api_keys_live ON api_keys (name) WHERE revoked_at_ms = 0;

CREATE TABLE idempotency (
  caller      text   NOT NULL,  -- the API key's id
  key         text   NOT NULL,
  digest      text   NOT NULL,  -- of method, path and body
  begun_at_ms bigint NOT NULL,
  answer      text   NOT NULL,  -- sealed; '' while the first request is under way
  PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_by_age ON idempotency (begun_at_ms);
CREATE INDEX idempotency_under_way ON idempotency (begun_at_ms) WHERE answer = '';

CREATE TABLE measures (
  kind     text    NOT NULL,  -- bodies, events, attempts
  start_ms bigint  NOT NULL,
  rows     bigint  NOT NULL,
  bytes    bigint  NOT NULL,
  settled  boolean NOT NULL,  -- false: more may be added to what came in then
  PRIMARY KEY (kind, start_ms)
);

CREATE TABLE growth (
  at_ms        bigint PRIMARY KEY,
  stored_bytes bigint NOT NULL,
  free_bytes   bigint  -- NULL: nobody knows the server's disk
);
