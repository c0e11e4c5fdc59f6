-- name: api_keys
SELECT id, name, scope, digest, hint, created_at_ms, created_by, last_used_at_ms, revoked_at_ms
FROM api_keys ORDER BY created_at_ms, id;

-- name: live_api_keys
SELECT count(*) FROM api_keys WHERE revoked_at_ms = 0;

-- name: live_named
SELECT 1 FROM api_keys WHERE name = ? AND revoked_at_ms = 0;

-- name: add_api_key
INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0);

-- name: forget_revoked
DELETE FROM api_keys WHERE id IN (
  SELECT id FROM api_keys WHERE revoked_at_ms > 0 ORDER BY revoked_at_ms DESC LIMIT -1 OFFSET ?);

-- name: revoke_api_key
UPDATE api_keys SET revoked_at_ms = ? WHERE id = ? AND revoked_at_ms = 0;

-- name: touch_api_key
UPDATE api_keys SET last_used_at_ms = ? WHERE id = ?;

-- name: forget_old
DELETE FROM idempotency WHERE (caller, key) IN (
  SELECT caller, key FROM idempotency WHERE begun_at_ms < ? ORDER BY begun_at_ms LIMIT 100);

-- name: forget_unfinished
DELETE FROM idempotency WHERE answer = '' AND begun_at_ms < ?;

-- name: known_request
SELECT digest, answer FROM idempotency WHERE caller = ? AND key = ?;

-- name: forget_beyond
DELETE FROM idempotency WHERE (caller, key) IN (
  SELECT caller, key FROM idempotency ORDER BY begun_at_ms DESC LIMIT 100 OFFSET ?);

-- name: begin_request
INSERT INTO idempotency VALUES (?, ?, ?, ?, '');

-- name: keep_answer
UPDATE idempotency SET answer = ? WHERE caller = ? AND key = ?;

-- name: forget_request
DELETE FROM idempotency WHERE caller = ? AND key = ?;
