-- What watching keeps in the PostgreSQL ledger.

-- name: add_slots
-- In the order of the key, so that two servers that add to the same rows wait in turn.
INSERT INTO slots AS s (kind, start_ms, name, count, bad, spent_ms, last_at_ms, minutes)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[],
                     $6::bigint[], $7::bigint[], $8::bigint[]) AS n ORDER BY 1, 2, 3
ON CONFLICT (kind, start_ms, name) DO UPDATE SET
  count = s.count + excluded.count, bad = s.bad + excluded.bad,
  spent_ms = s.spent_ms + excluded.spent_ms,
  last_at_ms = greatest(s.last_at_ms, excluded.last_at_ms),
  minutes = s.minutes | excluded.minutes;

-- name: slots
SELECT kind, start_ms, name, count, bad, spent_ms, last_at_ms, minutes FROM slots
WHERE kind = $1 AND start_ms >= $2 ORDER BY start_ms DESC, name DESC LIMIT $3;

-- name: forget_slots
DELETE FROM slots WHERE kind = $1 AND start_ms < $2;

-- name: document
SELECT text, version FROM documents WHERE name = $1;

-- name: add_document
INSERT INTO documents (name, version, text) VALUES ($1, 1, $2)
ON CONFLICT (name) DO NOTHING RETURNING 1;

-- name: replace_document
UPDATE documents SET text = $2, version = version + 1 WHERE name = $1 AND version = $3 RETURNING 1;
