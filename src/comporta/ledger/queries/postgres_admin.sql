-- The admin API's part of the ledger in PostgreSQL.

-- name: api_keys
SELECT id, name, scope, digest, hint, created_at_ms, created_by, last_used_at_ms, revoked_at_ms
FROM api_keys ORDER BY created_at_ms, id;

-- name: one_at_a_time
LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE;

-- name: live_api_keys
SELECT count(*), coalesce(bool_or(name = $1), false) FROM api_keys WHERE revoked_at_ms = 0;

-- name: add_api_key
INSERT INTO api_keys VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0);

-- name: forget_revoked
DELETE FROM api_keys WHERE id IN (
  SELECT id FROM api_keys WHERE revoked_at_ms > 0 ORDER BY revoked_at_ms DESC OFFSET $1);

-- name: revoke_api_key
UPDATE api_keys SET revoked_at_ms = $1 WHERE id = $2 AND revoked_at_ms = 0 RETURNING 1;

-- name: touch_api_key
UPDATE api_keys SET last_used_at_ms = greatest(last_used_at_ms, $1) WHERE id = $2;

-- name: forget_requests
-- What another server is at is left to it.
WITH old AS (
  DELETE FROM idempotency WHERE (caller, key) IN (
    SELECT caller, key FROM idempotency WHERE begun_at_ms < $1
    ORDER BY begun_at_ms LIMIT 100 FOR UPDATE SKIP LOCKED)
),
unfinished AS (
  DELETE FROM idempotency WHERE (caller, key) IN (
    SELECT caller, key FROM idempotency WHERE answer = '' AND begun_at_ms < $2
    ORDER BY begun_at_ms LIMIT 100 FOR UPDATE SKIP LOCKED)
)
DELETE FROM idempotency WHERE (caller, key) IN (
  SELECT caller, key FROM idempotency WHERE (caller, key) IN (
    SELECT caller, key FROM idempotency ORDER BY begun_at_ms DESC LIMIT 100 OFFSET $3)
  FOR UPDATE SKIP LOCKED);

-- name: begin_request
INSERT INTO idempotency AS i VALUES ($1, $2, $3, $4, '')
ON CONFLICT (caller, key) DO UPDATE
SET digest = excluded.digest, begun_at_ms = excluded.begun_at_ms, answer = ''
WHERE i.begun_at_ms < $5 OR i.answer = '' AND i.begun_at_ms < $6
RETURNING 1;

-- name: known_request
SELECT digest, answer FROM idempotency WHERE caller = $1 AND key = $2;

-- name: keep_answer
UPDATE idempotency SET answer = $1 WHERE caller = $2 AND key = $3;

-- name: forget_request
DELETE FROM idempotency WHERE caller = $1 AND key = $2;
