-- What people ask of the ledger in PostgreSQL, and what they do to many deliveries. A range of ids
-- stands wherever it is known: it keeps the parts of other days out of the plan.

-- name: events
SELECT e.id, e.accepted_at_ms, e.instance_id, e.source_id, e.event_type, e.account_id, e.subject,
       e.verified, e.body_bytes, e.duplicate_of,
       (SELECT count(*) FROM deliveries d WHERE d.event_id = e.id AND d.id > e.id)
FROM events e
WHERE ($1::text IS NULL OR e.instance_id = $1)
  AND ($2::text IS NULL OR e.event_type = $2)
  AND e.id >= $3 AND e.id < $4
ORDER BY e.id DESC LIMIT $5;

-- name: span_of_events
SELECT min(id), max(id) FROM events;

-- name: events_of_subject
-- Of one day, for the planner: the index of subjects is in parts of 2^42 of an id.
SELECT e.id, e.accepted_at_ms, e.instance_id, e.source_id, e.event_type, e.account_id, e.subject,
       e.verified, e.body_bytes, e.duplicate_of,
       (SELECT count(*) FROM deliveries d WHERE d.event_id = e.id AND d.id > e.id)
FROM events e
WHERE ($1::text IS NULL OR e.instance_id = $1)
  AND ($2::text IS NULL OR e.event_type = $2)
  AND e.id >= $3 AND e.id < $4
  AND e.id >> 42 = ANY($6::bigint[]) AND e.subject = $7 AND e.subject <> ''
ORDER BY e.id DESC LIMIT $5;

-- name: event
SELECT e.id, e.accepted_at_ms, e.instance_id, e.source_id, e.event_type, e.account_id, e.subject,
       e.verified, e.body_bytes, e.duplicate_of,
       (SELECT count(*) FROM deliveries d WHERE d.event_id = e.id AND d.id > e.id),
       e.headers, b.body
FROM events e LEFT JOIN bodies b ON b.event_id = e.id
WHERE e.id = $1;

-- name: attempts
SELECT delivery_id, number, started_at_ms, duration_ms, status, error, response
FROM attempts WHERE delivery_id = $1 ORDER BY number;

-- name: totals
SELECT count(*) FILTER (WHERE due_at_ms = 0), count(*) FILTER (WHERE due_at_ms > 0), min(id),
       (SELECT count(*) FROM deliveries WHERE state = 'dead')
FROM deliveries WHERE state IN ('pending', 'scheduled');

-- name: put_back
UPDATE deliveries d
SET state = 'pending', lane = u.lane, attempts = 0, tried_at_ms = 0, due_at_ms = 0,
    settled_at_ms = 0, reason = ''
FROM unnest($1::bigint[], $2::bigint[]) AS u (id, lane)
WHERE d.id = u.id AND d.id >= $3 AND d.id <= $4 AND d.state = 'dead'
RETURNING d.partition, d.destination_id, d.lane;

-- name: give_up
UPDATE deliveries d SET state = 'discarded', due_at_ms = 0, settled_at_ms = $4, reason = $5
WHERE d.id = ANY($1::bigint[]) AND d.id >= $2 AND d.id <= $3
  AND d.state IN ('pending', 'scheduled', 'dead')
RETURNING d.partition, d.destination_id, d.lane;

-- name: last_ids
SELECT partition, last_id FROM partitions WHERE partition = ANY($1::integer[])
ORDER BY partition FOR NO KEY UPDATE;

-- name: hold_bodies
SELECT event_id FROM bodies WHERE event_id = ANY($1::bigint[]) ORDER BY event_id FOR KEY SHARE;

-- name: add_replays
INSERT INTO deliveries (id, event_id, route_id, destination_id, partition, lane, state, due_at_ms,
                        attempts, settled_at_ms, reason, replay, conflate, tried_at_ms)
SELECT u.*, 0, 0, '', true, 0, 0
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::integer[], $6::bigint[],
            $7::text[], $8::bigint[]) AS u;

-- name: keep_last_ids
UPDATE partitions p SET last_id = greatest(p.last_id, u.last_id)
FROM unnest($1::integer[], $2::bigint[]) AS u (partition, last_id)
WHERE p.partition = u.partition;

-- name: note
INSERT INTO operations (at_ms, who, what, which, count) VALUES ($1, $2, $3, $4, $5) RETURNING id;

-- name: count_on
UPDATE operations SET count = count + $1 WHERE id = $2;

-- name: operations
SELECT at_ms, who, what, which, count, id FROM operations
WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2;

-- name: fleet_changes
SELECT version, changed_at_ms, changed_by, summary FROM fleets
WHERE $1::bigint IS NULL OR version < $1 ORDER BY version DESC LIMIT $2;
