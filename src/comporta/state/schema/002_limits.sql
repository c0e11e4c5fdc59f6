-- The breakers that are not closed: JSON of comporta.domain.breaker.Breaker.
CREATE TABLE breakers (
  destination_id TEXT PRIMARY KEY,
  document       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each destination's rate is used up; see comporta.domain.rate.
CREATE TABLE rates (
  destination_id TEXT PRIMARY KEY,
  tat_ms         REAL NOT NULL
) STRICT, WITHOUT ROWID;
