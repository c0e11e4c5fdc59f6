-- What retention asks of SQLite. Each statement touches a bounded number of rows.

-- name: first_bodies
SELECT min(event_id) FROM bodies WHERE event_id >= ?;

-- name: first_events
SELECT min(id) FROM events WHERE id >= ?;

-- name: first_attempts
SELECT min(delivery_id) FROM attempts WHERE delivery_id >= ?;

-- name: tally_bodies
SELECT event_id, length(body) + 16 FROM bodies
WHERE event_id > ? AND event_id < ? ORDER BY event_id LIMIT ?;

-- name: tally_events
SELECT id, 160 + length(headers) + 2 * length(subject)
       + 220 * (SELECT count(*) FROM deliveries d WHERE d.event_id = e.id)
FROM events e WHERE id > ? AND id < ? ORDER BY id LIMIT ?;

-- name: tally_attempts
SELECT delivery_id, sum(60 + length(error) + length(response)) FROM attempts
WHERE delivery_id > ? AND delivery_id < ? GROUP BY delivery_id ORDER BY delivery_id LIMIT ?;

-- name: measures
SELECT start_ms, rows, bytes, settled FROM measures WHERE kind = ? ORDER BY start_ms DESC;

-- name: keep_measure
INSERT OR REPLACE INTO measures (kind, start_ms, rows, bytes, settled) VALUES (?, ?, ?, ?, ?);

-- name: forget_measures
DELETE FROM measures WHERE kind = ? AND start_ms < ?;

-- name: old_bodies
SELECT b.event_id, EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = b.event_id
                           AND d.state IN ('pending', 'scheduled', 'dead'))
FROM bodies b WHERE b.event_id > ? AND b.event_id < ? ORDER BY b.event_id LIMIT ?;

-- name: old_events
SELECT e.id, EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id
                     AND d.state IN ('pending', 'scheduled', 'dead'))
FROM events e WHERE e.id > ? AND e.id < ? ORDER BY e.id LIMIT ?;

-- name: old_attempts
SELECT a.delivery_id, EXISTS (SELECT 1 FROM deliveries d WHERE d.id = a.delivery_id
                              AND d.state IN ('pending', 'scheduled', 'dead'))
FROM attempts a WHERE a.delivery_id > ? AND a.delivery_id < ?
GROUP BY a.delivery_id ORDER BY a.delivery_id LIMIT ?;

-- name: forget_attempts
DELETE FROM attempts WHERE delivery_id = ?;

-- name: forget_attempts_of_event
DELETE FROM attempts WHERE delivery_id IN (SELECT id FROM deliveries WHERE event_id = ?);

-- name: forget_deliveries
DELETE FROM deliveries WHERE event_id = ?;

-- name: forget_body
DELETE FROM bodies WHERE event_id = ?;

-- name: forget_event
DELETE FROM events WHERE id = ?;

-- name: dead_bytes
SELECT d.id, 400 + e.body_bytes FROM deliveries d JOIN events e ON e.id = d.event_id
WHERE d.state = 'dead' AND (?1 IS NULL OR d.id < ?1) ORDER BY d.id DESC LIMIT ?2;

-- name: forget_nudges
DELETE FROM nudges WHERE nudged_at_ms < ? AND id IN (SELECT id FROM nudges ORDER BY id LIMIT ?);

-- name: forget_operations
DELETE FROM operations WHERE id IN (
  SELECT id FROM operations WHERE id <= (SELECT max(id) FROM operations) - ? ORDER BY id LIMIT ?);

-- name: add_sample
INSERT OR REPLACE INTO growth (at_ms, stored_bytes, free_bytes) VALUES (?, ?, ?);

-- name: forget_samples
DELETE FROM growth WHERE at_ms NOT IN (SELECT at_ms FROM growth ORDER BY at_ms DESC LIMIT ?);

-- name: samples
SELECT at_ms, stored_bytes, free_bytes FROM growth ORDER BY at_ms;
