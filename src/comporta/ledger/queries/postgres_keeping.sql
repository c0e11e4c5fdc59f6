-- What retention asks of PostgreSQL. {low} and {high} are the range of a day's ids.

-- name: days
SELECT c.relname, p.relname, coalesce(obj_description(c.oid, 'pg_class') = 'thinned', false)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
WHERE p.relnamespace = current_schema()::regnamespace AND p.relname = ANY($1::text[]);

-- name: needed_events
SELECT event_id FROM deliveries
WHERE id >= {low} AND id < {high} AND state IN ('pending', 'scheduled')
UNION ALL
SELECT event_id FROM deliveries WHERE id >= {low} AND id < {high} AND state = 'dead'
UNION ALL
SELECT event_id FROM deliveries WHERE id >= {high} AND event_id >= {low} AND event_id < {high}
  AND state IN ('pending', 'scheduled', 'dead')

-- name: needed_replays
SELECT r.event_id FROM deliveries r
WHERE r.id >= {low} AND r.id < {high} AND r.event_id < {low} AND EXISTS (
  SELECT 1 FROM deliveries d WHERE d.event_id = r.event_id AND d.id > r.event_id
    AND d.state IN ('pending', 'scheduled', 'dead'))

-- name: needed_deliveries
SELECT id FROM deliveries
WHERE id >= {low} AND id < {high} AND state IN ('pending', 'scheduled')
UNION ALL
SELECT id FROM deliveries WHERE id >= {low} AND id < {high} AND state = 'dead'

-- name: deliveries_of
SELECT id FROM deliveries WHERE id >= {low} AND id < {high} AND event_id IN ({events})

-- name: weigh
SELECT count(*) FROM (SELECT 1 FROM ({needed}) AS needed LIMIT $1) AS counted;

-- name: one_at_a_time
SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || '.retention', 0));

-- name: make_kept
CREATE TABLE {kept} (LIKE {table} INCLUDING ALL);
ALTER TABLE {kept} ADD CHECK ({column} >= {low} AND {column} < {high});

-- name: drop_stale
DELETE FROM {kept} k WHERE NOT EXISTS (SELECT 1 FROM {part} t WHERE {same});

-- name: add_missing
INSERT INTO {kept} SELECT t.* FROM {part} t
WHERE t.{key} IN ({needed}) AND NOT EXISTS (SELECT 1 FROM {kept} k WHERE {same});

-- name: add_missing_by_key
-- The same where a key is of one row: what is there already is not even looked for in the part.
INSERT INTO {kept} SELECT t.* FROM {part} t WHERE t.{key} IN (
  SELECT n.event_id FROM ({needed}) AS n
  WHERE NOT EXISTS (SELECT 1 FROM {kept} k WHERE k.{key} = n.event_id));

-- name: how_many
SELECT greatest(0, (SELECT reltuples FROM pg_class WHERE oid = '{part}'::regclass)
                   - (SELECT count(*) FROM {kept}))::bigint;

-- name: attach
ALTER TABLE {kept} RENAME TO {part};
ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ({low}) TO ({high});
COMMENT ON TABLE {part} IS 'thinned';

-- name: first_bodies
SELECT event_id FROM bodies WHERE event_id >= $1 ORDER BY event_id LIMIT 1;

-- name: first_events
SELECT id FROM events WHERE id >= $1 ORDER BY id LIMIT 1;

-- name: first_attempts
SELECT delivery_id FROM attempts WHERE delivery_id >= $1 ORDER BY delivery_id LIMIT 1;

-- name: tally_bodies
SELECT event_id, octet_length(body) + 40 FROM bodies
WHERE event_id > $1 AND event_id < $2 ORDER BY event_id LIMIT $3;

-- name: tally_events
SELECT id, 200 + octet_length(headers) + 2 * octet_length(subject)
       + 300 * (SELECT count(*) FROM deliveries d WHERE d.event_id = e.id AND d.id > e.id)
FROM events e WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3;

-- name: tally_attempts
SELECT delivery_id, sum(100 + octet_length(error) + octet_length(response)) FROM attempts
WHERE delivery_id > $1 AND delivery_id < $2 GROUP BY delivery_id ORDER BY delivery_id LIMIT $3;

-- name: measures
SELECT start_ms, rows, bytes, settled FROM measures WHERE kind = $1 ORDER BY start_ms DESC;

-- name: keep_measure
INSERT INTO measures (kind, start_ms, rows, bytes, settled) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (kind, start_ms) DO UPDATE
SET rows = excluded.rows, bytes = excluded.bytes, settled = excluded.settled;

-- name: forget_measures
DELETE FROM measures WHERE kind = $1 AND start_ms < $2;

-- name: old_bodies
SELECT b.event_id, EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = b.event_id
                           AND d.id > b.event_id AND d.state IN ('pending', 'scheduled', 'dead'))
FROM bodies b WHERE b.event_id > $1 AND b.event_id < $2 ORDER BY b.event_id LIMIT $3;

-- name: old_events
SELECT e.id, EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id
                     AND d.id > e.id AND d.state IN ('pending', 'scheduled', 'dead'))
FROM events e WHERE e.id > $1 AND e.id < $2 ORDER BY e.id LIMIT $3;

-- name: old_attempts
SELECT a.delivery_id, EXISTS (SELECT 1 FROM deliveries d WHERE d.id = a.delivery_id
                              AND d.state IN ('pending', 'scheduled', 'dead'))
FROM attempts a WHERE a.delivery_id > $1 AND a.delivery_id < $2
GROUP BY a.delivery_id ORDER BY a.delivery_id LIMIT $3;

-- name: hold_bodies
SELECT event_id FROM bodies WHERE event_id = ANY($1::bigint[]) ORDER BY event_id FOR UPDATE;

-- name: still_old
SELECT u.id FROM unnest($1::bigint[]) AS u (id) WHERE NOT EXISTS (
  SELECT 1 FROM deliveries d WHERE d.event_id = u.id AND d.id > $2
    AND d.state IN ('pending', 'scheduled', 'dead'));

-- name: forget_attempts
DELETE FROM attempts WHERE delivery_id = ANY($1::bigint[]);

-- name: forget_deliveries
DELETE FROM deliveries WHERE event_id = ANY($1::bigint[]) AND id > $2 RETURNING id;

-- name: forget_bodies
DELETE FROM bodies WHERE event_id = ANY($1::bigint[]);

-- name: forget_events
DELETE FROM events WHERE id = ANY($1::bigint[]);

-- name: dead_bytes
SELECT d.id, 400 + e.body_bytes FROM deliveries d JOIN events e ON e.id = d.event_id
WHERE d.state = 'dead' AND d.id < $1 ORDER BY d.id DESC LIMIT $2;

-- name: forget_nudges
WITH gone AS (
  DELETE FROM nudges WHERE id IN (
    SELECT id FROM nudges ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED) AND nudged_at_ms < $1
  RETURNING 1)
SELECT count(*) FROM gone;

-- name: forget_operations
WITH gone AS (
  DELETE FROM operations WHERE id IN (
    SELECT id FROM operations
    WHERE id <= (SELECT id FROM operations ORDER BY id DESC OFFSET $1 LIMIT 1)
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
  RETURNING 1)
SELECT count(*) FROM gone;

-- name: stored_bytes
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r';

-- name: add_sample
INSERT INTO growth (at_ms, stored_bytes, free_bytes) VALUES ($1, $2, $3)
ON CONFLICT (at_ms) DO UPDATE
SET stored_bytes = excluded.stored_bytes, free_bytes = excluded.free_bytes;

-- name: forget_samples
DELETE FROM growth WHERE at_ms NOT IN (SELECT at_ms FROM growth ORDER BY at_ms DESC LIMIT $1);

-- name: samples
SELECT at_ms, stored_bytes, free_bytes FROM growth ORDER BY at_ms;
