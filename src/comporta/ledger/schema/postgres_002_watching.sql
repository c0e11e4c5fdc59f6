-- See sqlite_006_watching.sql. A row of slots changes often: half of each page is left for that.
CREATE TABLE slots (
  kind       text   NOT NULL,
  start_ms   bigint NOT NULL,
  name       text   NOT NULL,
  count      bigint NOT NULL,
  bad        bigint NOT NULL,
  spent_ms   bigint NOT NULL,
  last_at_ms bigint NOT NULL,
  minutes    bigint NOT NULL,
  PRIMARY KEY (kind, start_ms, name)
) WITH (fillfactor = 50);

CREATE TABLE documents (
  name    text   PRIMARY KEY,
  version bigint NOT NULL,
  text    text   NOT NULL
);
