-- The ledger's questions and statements for PostgreSQL, for dispatch and the fleet. A block is used
-- by its name. Many rows travel as arrays, one a column, so that a batch is one way there and back.
-- Bounds of ids stand beside them, for the planner: it looks into the days between them only.

-- name: fleet_version
SELECT coalesce(max(version), 0) FROM fleets;

-- name: fleet_document
SELECT document FROM fleets ORDER BY version DESC LIMIT 1;

-- name: add_fleet
INSERT INTO fleets (version, document, changed_at_ms, changed_by, summary)
SELECT $1, $2, $3, $4, $5
WHERE $1 = 1 + (SELECT coalesce(max(version), 0) FROM fleets)
ON CONFLICT (version) DO NOTHING
RETURNING version;

-- name: ring
SELECT pg_notify($1, '');

-- name: add_partition
INSERT INTO partitions (partition, token, log, log_offset, last_id) VALUES ($1, $2, $3, 0, 0)
ON CONFLICT (partition) DO NOTHING;

-- name: token
SELECT token FROM partitions WHERE partition = $1 FOR UPDATE;

-- name: claim_partition
UPDATE partitions
SET token = $2, log = $3, log_offset = CASE WHEN log = $3 THEN log_offset ELSE 0 END
WHERE partition = $1
RETURNING log_offset;

-- name: open_lanes
SELECT h.destination_id, h.lane, h.due_at_ms,
       (SELECT e.instance_id FROM events e WHERE e.id = h.event_id)
FROM (SELECT DISTINCT ON (d.destination_id, d.lane)
             d.destination_id, d.lane, d.due_at_ms, d.event_id
      FROM deliveries d
      WHERE d.partition = $1 AND d.state IN ('pending', 'scheduled')
      ORDER BY d.destination_id, d.lane, d.id) AS h;

-- name: places_to_move
-- Whoever wants to become the owner waits until this transaction ends, and so does another batch.
SELECT partition, token, log_offset, last_id FROM partitions WHERE partition = ANY($1::integer[])
ORDER BY partition FOR NO KEY UPDATE;

-- name: places_to_keep
-- Whoever wants to become the owner waits; a batch that is recorded meanwhile does not.
SELECT partition, token, log_offset, last_id FROM partitions WHERE partition = ANY($1::integer[])
ORDER BY partition FOR KEY SHARE;

-- name: places_alone
-- Whoever is at work in these partitions is waited for.
SELECT partition, token, log_offset, last_id FROM partitions WHERE partition = ANY($1::integer[])
ORDER BY partition FOR UPDATE;

-- name: known_keys
SELECT id, keys FROM events
WHERE id >= $1 AND id < $2 AND (id >> 14) & 255 = ANY($3::bigint[]) AND keys <> ''
ORDER BY id DESC LIMIT $4;

-- name: keys
SELECT id, keys FROM events WHERE id = ANY($1::bigint[]);

-- name: conflated
-- Locked, so that what is found still waits when it gives way.
SELECT s.seat, d.id
FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::bigint[])
       WITH ORDINALITY AS s (partition, destination_id, lane, conflate, seat)
JOIN deliveries d ON d.partition = s.partition AND d.destination_id = s.destination_id
  AND d.lane = s.lane AND d.conflate = s.conflate
WHERE d.conflate <> 0 AND d.state IN ('pending', 'scheduled')
ORDER BY d.id FOR NO KEY UPDATE OF d;

-- name: record
WITH
new_events AS (
  INSERT INTO events (id, accepted_at_ms, instance_id, source_id, event_type, account_id, subject,
                      verified, headers, body_bytes, duplicate_of, keys)
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[],
                       $6::bigint[], $7::text[], $8::boolean[], $9::text[], $10::integer[],
                       $11::bigint[], $12::bytea[])
),
new_bodies AS (
  INSERT INTO bodies (event_id, body) SELECT * FROM unnest($13::bigint[], $14::bytea[])
),
new_deliveries AS (
  INSERT INTO deliveries (id, event_id, route_id, destination_id, partition, lane, state,
                          settled_at_ms, reason, conflate,
                          attempts, due_at_ms, replay, tried_at_ms)
  SELECT n.*, 0, 0, false, 0
  FROM unnest($15::bigint[], $16::bigint[], $17::text[], $18::text[], $19::integer[],
              $20::bigint[], $21::text[], $22::bigint[], $23::text[], $24::bigint[]) AS n
),
errors AS (
  INSERT INTO attempts (started_at_ms, duration_ms, status, error, response, delivery_id, number)
  SELECT n.*, 1 FROM unnest($25::bigint[], $26::double precision[], $27::integer[], $28::text[],
                            $29::bytea[], $30::bigint[]) AS n
),
accounts AS (
  INSERT INTO source_accounts (source_id, account_id)
  SELECT * FROM unnest($31::text[], $32::bigint[])
  ON CONFLICT (source_id) DO UPDATE SET account_id = excluded.account_id
),
superseded AS (
  UPDATE deliveries d
  SET state = 'discarded', due_at_ms = 0, settled_at_ms = $38, reason = s.reason
  FROM unnest($33::bigint[], $34::text[]) AS s (id, reason)
  WHERE d.id = s.id AND d.id BETWEEN $39 AND $40
)
UPDATE partitions p
SET log_offset = m.log_offset, last_id = m.last_id
FROM unnest($35::bigint[], $36::bigint[], $37::integer[]) AS m (log_offset, last_id, partition)
WHERE p.partition = m.partition;

-- name: settle
WITH
outcome AS (
  SELECT * FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::bigint[], $5::bigint[],
                       $6::text[], $7::bigint[], $8::double precision[], $9::integer[], $10::text[],
                       $11::bytea[])
    AS o (id, state, attempts, due_at_ms, settled_at_ms, reason, started_at_ms, duration_ms,
          status, error, response)
),
changed AS (
  UPDATE deliveries d
  SET state = o.state, attempts = o.attempts, due_at_ms = o.due_at_ms,
      settled_at_ms = o.settled_at_ms, reason = o.reason,
      tried_at_ms = CASE d.tried_at_ms WHEN 0 THEN o.started_at_ms ELSE d.tried_at_ms END
  FROM outcome o
  WHERE d.id = o.id AND d.id BETWEEN $12 AND $13
    AND (d.state IN ('pending', 'scheduled') OR o.state = 'delivered')
)
INSERT INTO attempts (delivery_id, number, started_at_ms, duration_ms, status, error, response)
SELECT o.id,
       1 + coalesce((SELECT max(a.number) FROM attempts a
                     WHERE a.delivery_id = o.id AND a.delivery_id BETWEEN $12 AND $13), 0),
       o.started_at_ms, o.duration_ms, o.status, o.error, o.response
FROM outcome o
WHERE EXISTS (SELECT FROM deliveries d WHERE d.id = o.id AND d.id BETWEEN $12 AND $13);

-- name: attempts_of
SELECT delivery_id, started_at_ms, duration_ms FROM attempts
WHERE delivery_id = ANY($1::bigint[]);

-- name: refill
SELECT f.id, f.event_id, f.destination_id, f.partition, f.lane, f.attempts, f.due_at_ms,
       f.instance_id, f.event_type, f.accepted_at_ms, f.headers, b.body, f.conflate, f.tried_at_ms
FROM (
  SELECT l.place, d.*, e.instance_id, e.event_type, e.accepted_at_ms, e.headers,
         sum(e.body_bytes) OVER (ORDER BY l.place, d.id ROWS UNBOUNDED PRECEDING)
           - e.body_bytes AS bytes_before
  FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::bigint[])
         WITH ORDINALITY AS l (partition, destination_id, lane, after, place)
  CROSS JOIN LATERAL (
    SELECT * FROM deliveries d
    WHERE d.partition = l.partition AND d.destination_id = l.destination_id AND d.lane = l.lane
      AND d.id > l.after AND d.id > $7 AND d.state IN ('pending', 'scheduled')
    ORDER BY d.id LIMIT $5
  ) AS d
  JOIN events e ON e.id = d.event_id AND e.id > $8
) AS f
JOIN bodies b ON b.event_id = f.event_id AND b.event_id > $8
WHERE f.bytes_before < $6
ORDER BY f.place, f.id;

-- name: source_accounts
SELECT source_id, account_id FROM source_accounts;

-- name: last_nudge
SELECT coalesce(max(id), 0) FROM nudges;

-- name: nudges
SELECT id, partition, destination_id, lane FROM nudges WHERE id > $1 ORDER BY id LIMIT 1000;

-- name: nudge_in_order
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.nudges', 0));

-- name: nudge
INSERT INTO nudges (partition, destination_id, lane, nudged_at_ms)
SELECT n.*, $4 FROM unnest($1::integer[], $2::text[], $3::bigint[]) AS n;
