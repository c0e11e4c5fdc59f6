-- What watching keeps in the SQLite ledger.

-- name: add_slot
INSERT INTO slots (kind, start_ms, name, count, bad, spent_ms, last_at_ms, minutes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, start_ms, name) DO UPDATE SET
  count = count + excluded.count, bad = bad + excluded.bad,
  spent_ms = spent_ms + excluded.spent_ms, last_at_ms = max(last_at_ms, excluded.last_at_ms),
  minutes = minutes | excluded.minutes;

-- name: slots
SELECT kind, start_ms, name, count, bad, spent_ms, last_at_ms, minutes FROM slots
WHERE kind = ? AND start_ms >= ? ORDER BY start_ms DESC, name DESC LIMIT ?;

-- name: forget_slots
DELETE FROM slots WHERE kind = ? AND start_ms < ?;

-- name: document
SELECT text, version FROM documents WHERE name = ?;

-- name: add_document
INSERT INTO documents (name, version, text) VALUES (?, 1, ?) ON CONFLICT (name) DO NOTHING;

-- name: replace_document
UPDATE documents SET text = ?2, version = version + 1 WHERE name = ?1 AND version = ?3;
