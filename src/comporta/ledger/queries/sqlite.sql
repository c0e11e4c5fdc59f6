-- The ledger's questions and statements for SQLite. A block is used by its name.

-- name: probe
INSERT OR REPLACE INTO probe (id, filler) VALUES (1, randomblob(65536));

-- name: fleet_version
SELECT coalesce(max(version), 0) FROM fleets;

-- name: fleet_document
SELECT document FROM fleets ORDER BY version DESC LIMIT 1;

-- name: add_fleet
INSERT INTO fleets (version, document, changed_at_ms, changed_by, summary) VALUES (?, ?, ?, ?, ?);

-- name: partition
SELECT token, offset, last_id FROM partitions WHERE partition = ?;

-- name: claim_partition
INSERT INTO partitions (partition, token, offset, last_id, log) VALUES (?, ?, 0, 0, ?)
ON CONFLICT (partition) DO UPDATE SET token = excluded.token, log = excluded.log,
  offset = CASE WHEN log = excluded.log THEN offset ELSE 0 END
RETURNING offset;

-- name: move_partition
UPDATE partitions SET offset = ?, last_id = ? WHERE partition = ?;

-- name: open_lanes
SELECT d.destination_id, d.lane, min(d.id), d.due_at_ms,
       (SELECT e.instance_id FROM events e WHERE e.id = d.event_id)
FROM deliveries d
WHERE d.partition = ? AND d.state IN ('pending', 'scheduled')
GROUP BY d.destination_id, d.lane;

-- name: keys
SELECT keys FROM events WHERE id = ?;

-- name: known_keys
SELECT id, keys FROM events
WHERE id >= max(:since_id, coalesce(
        (SELECT id FROM events WHERE id >= :since_id ORDER BY id DESC LIMIT 1 OFFSET :others), 0))
  AND keys != x'';

-- name: source_accounts
SELECT source_id, account_id FROM source_accounts;

-- name: learn_account
INSERT INTO source_accounts (source_id, account_id) VALUES (?, ?)
ON CONFLICT (source_id) DO UPDATE SET account_id = excluded.account_id;

-- name: add_event
INSERT INTO events (id, accepted_at_ms, instance_id, source_id, event_type, account_id, subject,
                    verified, headers, body_bytes, duplicate_of, keys)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_body
INSERT INTO bodies (event_id, body) VALUES (?, ?);

-- name: add_new_delivery
INSERT INTO deliveries (id, event_id, route_id, destination_id, partition, lane, state, attempts,
                        due_at_ms, settled_at_ms, reason, replay, conflate)
VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, 0, ?);

-- name: conflated
SELECT id FROM deliveries INDEXED BY deliveries_conflated
WHERE partition = ? AND destination_id = ? AND lane = ? AND conflate = ? AND conflate != 0
  AND state IN ('pending', 'scheduled');

-- name: supersede
UPDATE deliveries SET state = 'discarded', due_at_ms = 0, settled_at_ms = ?, reason = ?
WHERE id = ?;

-- name: refill
SELECT d.id, d.event_id, d.destination_id, d.partition, d.lane, d.attempts, d.due_at_ms,
       e.instance_id, e.event_type, e.accepted_at_ms, e.headers, b.body, d.conflate, d.tried_at_ms
FROM deliveries d JOIN events e ON e.id = d.event_id JOIN bodies b ON b.event_id = d.event_id
WHERE d.partition = ? AND d.destination_id = ? AND d.lane = ? AND d.id > ?
  AND d.state IN ('pending', 'scheduled')
ORDER BY d.id LIMIT ?;

-- name: settle
UPDATE deliveries
SET state = :state, attempts = :attempts, due_at_ms = :due_at_ms, settled_at_ms = :settled_at_ms,
    reason = :reason, tried_at_ms = CASE tried_at_ms WHEN 0 THEN :tried_at_ms ELSE tried_at_ms END
WHERE id = :id AND (state IN ('pending', 'scheduled') OR :state = 'delivered');

-- name: add_attempt
INSERT INTO attempts (delivery_id, number, started_at_ms, duration_ms, status, error, response)
SELECT d.id, 1 + coalesce((SELECT max(a.number) FROM attempts a WHERE a.delivery_id = d.id), 0),
       ?, ?, ?, ?, ?
FROM deliveries d WHERE d.id = ?;

-- name: last_nudge
SELECT coalesce(max(id), 0) FROM nudges;

-- name: nudges
SELECT id, partition, destination_id, lane FROM nudges WHERE id > ? ORDER BY id LIMIT 1000;

-- name: nudge
INSERT INTO nudges (partition, destination_id, lane, nudged_at_ms) VALUES (?, ?, ?, ?);

-- name: events
SELECT e.id, e.accepted_at_ms, e.instance_id, e.source_id, e.event_type, e.account_id, e.subject,
       e.verified, e.body_bytes, e.duplicate_of,
       (SELECT count(*) FROM deliveries d WHERE d.event_id = e.id)
FROM events e
WHERE (:instance_id IS NULL OR e.instance_id = :instance_id)
  AND (:event_type IS NULL OR e.event_type = :event_type)
  AND e.id >= coalesce(:since_id, 0)
  AND (:before_id IS NULL OR e.id < :before_id)
ORDER BY e.id DESC LIMIT :limit;

-- name: events_of_subject
WITH RECURSIVE parts (part) AS (
  SELECT max(id) >> 37 FROM events WHERE :before_id IS NULL OR id < :before_id
  UNION ALL
  SELECT (SELECT max(id) FROM events WHERE id < part << 37) >> 37 FROM parts
  WHERE part << 37 > coalesce(:since_id, 0)
)
SELECT e.id, e.accepted_at_ms, e.instance_id, e.source_id, e.event_type, e.account_id, e.subject,
       e.verified, e.body_bytes, e.duplicate_of,
       (SELECT count(*) FROM deliveries d WHERE d.event_id = e.id)
FROM parts CROSS JOIN events e INDEXED BY events_by_subject
WHERE e.id >> 37 = part AND e.subject = :subject AND e.subject != ''
  AND (:instance_id IS NULL OR e.instance_id = :instance_id)
  AND (:event_type IS NULL OR e.event_type = :event_type)
  AND e.id >= coalesce(:since_id, 0)
  AND (:before_id IS NULL OR e.id < :before_id)
ORDER BY e.id DESC LIMIT :limit;

-- name: event
SELECT e.id, e.accepted_at_ms, e.instance_id, e.source_id, e.event_type, e.account_id, e.subject,
       e.verified, e.body_bytes, e.duplicate_of,
       (SELECT count(*) FROM deliveries d WHERE d.event_id = e.id),
       e.headers, b.body
FROM events e LEFT JOIN bodies b ON b.event_id = e.id
WHERE e.id = ?;

-- name: attempts
SELECT delivery_id, number, started_at_ms, duration_ms, status, error, response
FROM attempts WHERE delivery_id = ? ORDER BY number;

-- name: put_back
UPDATE deliveries SET state = 'pending', lane = ?, attempts = 0, tried_at_ms = 0, due_at_ms = 0,
                      settled_at_ms = 0, reason = ''
WHERE id = ? AND state = 'dead';

-- name: give_up
UPDATE deliveries SET state = 'discarded', due_at_ms = 0, settled_at_ms = ?, reason = ?
WHERE id = ? AND state IN ('pending', 'scheduled', 'dead');

-- name: add_replay
INSERT INTO deliveries (id, event_id, route_id, destination_id, partition, lane, state,
                        attempts, due_at_ms, settled_at_ms, reason, replay)
SELECT ?, event_id, ?, ?, ?, ?, ?, 0, ?, 0, '', 1 FROM bodies WHERE event_id = ?;

-- name: note
INSERT INTO operations (at_ms, who, what, which, count) VALUES (?, ?, ?, ?, ?) RETURNING id;

-- name: count_on
UPDATE operations SET count = count + ? WHERE id = ?;

-- name: operations
SELECT at_ms, who, what, which, count, id FROM operations
WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2;

-- name: fleet_changes
SELECT version, changed_at_ms, changed_by, summary FROM fleets
WHERE ?1 IS NULL OR version < ?1 ORDER BY version DESC LIMIT ?2;

-- name: keep_last_id
UPDATE partitions SET last_id = max(last_id, ?) WHERE partition = ?;

-- name: totals
SELECT count(*) FILTER (WHERE due_at_ms = 0), count(*) FILTER (WHERE due_at_ms > 0), min(id)
FROM deliveries INDEXED BY deliveries_open WHERE state IN ('pending', 'scheduled');

-- name: dead_total
SELECT count(*) FROM deliveries WHERE state = 'dead';
