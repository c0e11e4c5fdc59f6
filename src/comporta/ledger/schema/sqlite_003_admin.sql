-- Keys of the admin API. Of a key only its digest is kept.
CREATE TABLE api_keys (
  id              TEXT    PRIMARY KEY,
  name            TEXT    NOT NULL,
  scope           TEXT    NOT NULL CHECK (scope IN ('read', 'operate', 'admin')),
  digest          TEXT    NOT NULL UNIQUE,  -- SHA-256, hexadecimal
  hint            TEXT    NOT NULL,
  created_at_ms   INTEGER NOT NULL,
  created_by      TEXT    NOT NULL,
  last_used_at_ms INTEGER NOT NULL,  -- 0: never
  revoked_at_ms   INTEGER NOT NULL   -- 0: live
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX api_keys_live ON api_keys (name) WHERE revoked_at_ms = 0;

-- What was answered to a request that may come again with the same Idempotency-Key.
CREATE TABLE idempotency (
  caller    TEXT    NOT NULL,  -- the API key's id
  key       TEXT    NOT NULL,
  digest    TEXT    NOT NULL,  -- of method, path and body
  begun_at_ms INTEGER NOT NULL,
  answer    TEXT    NOT NULL,  -- sealed; '' while the first request is under way
  PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (begun_at_ms);
CREATE INDEX idempotency_under_way ON idempotency (begun_at_ms) WHERE answer = '';
