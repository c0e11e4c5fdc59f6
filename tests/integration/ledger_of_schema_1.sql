-- A ledger of schema 1, as the version that had it left it: to `crm` one delivery each that is
-- delivered, dead and scheduled, and two that are pending; to `bot`, which was disabled, five that
-- are pending. Bit 62 of the lane's number is set.
BEGIN TRANSACTION;

CREATE TABLE attempts (
  delivery_id   INTEGER NOT NULL,
  number        INTEGER NOT NULL,
  started_at_ms INTEGER NOT NULL,
  duration_ms   REAL    NOT NULL,
  status        INTEGER,
  error         TEXT    NOT NULL,
  response      BLOB    NOT NULL,
  PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO attempts VALUES(383496958771232769,1,1795500000000,12.5,200,'',X'6F6B20FF');
INSERT INTO attempts VALUES(383496958771232772,1,1795500000000,12.5,500,'',X'6F6B20FF');
INSERT INTO attempts VALUES(383496958771232775,1,1795500000000,12.5,503,'',X'6F6B20FF');

CREATE TABLE bodies (
  event_id INTEGER PRIMARY KEY,
  body     BLOB NOT NULL
) STRICT;
INSERT INTO bodies VALUES(383496958771232768,X'7B226E223A317D');
INSERT INTO bodies VALUES(383496958771232771,X'7B226E223A327D');
INSERT INTO bodies VALUES(383496958771232774,X'7B226E223A337D');
INSERT INTO bodies VALUES(383496958771232777,X'7B226E223A347D');
INSERT INTO bodies VALUES(383496958771232780,X'7B226E223A357D');

CREATE TABLE deliveries (
  id             INTEGER PRIMARY KEY,
  event_id       INTEGER NOT NULL,
  route_id       TEXT    NOT NULL,
  destination_id TEXT    NOT NULL,
  partition      INTEGER NOT NULL,
  lane           INTEGER NOT NULL,
  state          TEXT    NOT NULL
                 CHECK (state IN ('pending', 'scheduled', 'delivered', 'dead', 'discarded')),
  attempts       INTEGER NOT NULL,
  due_at_ms      INTEGER NOT NULL,
  settled_at_ms  INTEGER NOT NULL,
  reason         TEXT    NOT NULL,
  replay         INTEGER NOT NULL
) STRICT;
INSERT INTO deliveries VALUES(383496958771232769,383496958771232768,'rte_4fcygzyrxc','dst_v6y89kg9wz',2,5701904134443356066,'delivered',1,0,1795500001000,'',0);
INSERT INTO deliveries VALUES(383496958771232770,383496958771232768,'rte_1t20wy11sm','dst_pk1s9ttgj2',2,5701904134443356066,'pending',0,0,0,'',0);
INSERT INTO deliveries VALUES(383496958771232772,383496958771232771,'rte_4fcygzyrxc','dst_v6y89kg9wz',2,5701904134443356066,'dead',1,0,1795500001000,'HTTP 500',0);
INSERT INTO deliveries VALUES(383496958771232773,383496958771232771,'rte_1t20wy11sm','dst_pk1s9ttgj2',2,5701904134443356066,'pending',0,0,0,'',0);
INSERT INTO deliveries VALUES(383496958771232775,383496958771232774,'rte_4fcygzyrxc','dst_v6y89kg9wz',2,5701904134443356066,'scheduled',1,1795500005000,0,'HTTP 503',0);
INSERT INTO deliveries VALUES(383496958771232776,383496958771232774,'rte_1t20wy11sm','dst_pk1s9ttgj2',2,5701904134443356066,'pending',0,0,0,'',0);
INSERT INTO deliveries VALUES(383496958771232778,383496958771232777,'rte_4fcygzyrxc','dst_v6y89kg9wz',2,5701904134443356066,'pending',0,0,0,'',0);
INSERT INTO deliveries VALUES(383496958771232779,383496958771232777,'rte_1t20wy11sm','dst_pk1s9ttgj2',2,5701904134443356066,'pending',0,0,0,'',0);
INSERT INTO deliveries VALUES(383496958771232781,383496958771232780,'rte_4fcygzyrxc','dst_v6y89kg9wz',2,5701904134443356066,'pending',0,0,0,'',0);
INSERT INTO deliveries VALUES(383496958771232782,383496958771232780,'rte_1t20wy11sm','dst_pk1s9ttgj2',2,5701904134443356066,'pending',0,0,0,'',0);
CREATE INDEX deliveries_by_event ON deliveries (event_id);
CREATE INDEX deliveries_dead ON deliveries (id) WHERE state = 'dead';
CREATE INDEX deliveries_open ON deliveries (partition, destination_id, lane, id, due_at_ms)
  WHERE state IN ('pending', 'scheduled');

CREATE TABLE events (
  id                 INTEGER PRIMARY KEY,
  accepted_at_ms     INTEGER NOT NULL,
  instance_id        TEXT    NOT NULL,
  source_id          TEXT    NOT NULL,
  event_type         TEXT    NOT NULL,
  account_id         INTEGER,
  subject            TEXT    NOT NULL,
  verified           INTEGER NOT NULL,
  headers            TEXT    NOT NULL,
  body_bytes         INTEGER NOT NULL,
  duplicate_of       INTEGER
) STRICT;
INSERT INTO events VALUES(383496958771232768,1795500000000,'ins_g6xzgshty2','src_cazcfzf0s3','message_created',1,'conversation:12',0,'[]',7,NULL);
INSERT INTO events VALUES(383496958771232771,1795500000000,'ins_g6xzgshty2','src_cazcfzf0s3','message_created',1,'conversation:12',0,'[]',7,NULL);
INSERT INTO events VALUES(383496958771232774,1795500000000,'ins_g6xzgshty2','src_cazcfzf0s3','message_created',1,'conversation:12',0,'[]',7,NULL);
INSERT INTO events VALUES(383496958771232777,1795500000000,'ins_g6xzgshty2','src_cazcfzf0s3','message_created',1,'conversation:12',0,'[]',7,NULL);
INSERT INTO events VALUES(383496958771232780,1795500000000,'ins_g6xzgshty2','src_cazcfzf0s3','message_created',1,'conversation:12',0,'[]',7,NULL);
CREATE INDEX events_by_subject ON events (subject, id) WHERE subject != '';

CREATE TABLE fleets (
  version       INTEGER PRIMARY KEY,
  document      TEXT    NOT NULL,
  changed_at_ms INTEGER NOT NULL,
  changed_by    TEXT    NOT NULL,
  summary       TEXT    NOT NULL
) STRICT;
INSERT INTO fleets VALUES(7,'{"version":7,"instances":[{"id":"ins_g6xzgshty2","name":"loja-1","sources":[{"id":"src_cazcfzf0s3","name":"conta","kind":"account","tokens":[{"digest":"ab5dc81f6787302dbccb4213a22635451fe6689860d8b0f661a097501cf21f95"}]}]}],"destinations":[{"id":"dst_v6y89kg9wz","name":"crm","url":"URL/crm","timeout_s":10.0},{"id":"dst_pk1s9ttgj2","name":"bot","url":"URL/bot","timeout_s":10.0,"disabled":"answered 410 Gone"}],"routes":[{"id":"rte_4fcygzyrxc","name":"all","to":["crm"],"instances":["*"],"events":["*"]},{"id":"rte_1t20wy11sm","name":"bots","to":["bot"],"instances":["*"],"events":["*"]}]}',1795563165651,'gateway','~destination bot');

CREATE TABLE nudges (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  partition      INTEGER NOT NULL,
  destination_id TEXT    NOT NULL,
  lane           INTEGER NOT NULL,
  nudged_at_ms   INTEGER NOT NULL
) STRICT;

CREATE TABLE partitions (
  partition INTEGER PRIMARY KEY,
  token     INTEGER NOT NULL,
  offset    INTEGER NOT NULL,
  last_id   INTEGER NOT NULL
) STRICT;
INSERT INTO partitions VALUES(2,7,5,383496958771232782);

CREATE TABLE probe (
  id     INTEGER PRIMARY KEY,
  filler BLOB NOT NULL
) STRICT;

CREATE TABLE seen (
  bucket   INTEGER NOT NULL,
  key      BLOB    NOT NULL,
  event_id INTEGER NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
INSERT INTO seen VALUES(498750,X'7516C4BA0601F7596E40E000532C5AAF8E34F663',383496958771232780);
INSERT INTO seen VALUES(498750,X'7516C4BA15B8C9653F35C36BFED96F7217BF1C80',383496958771232768);
INSERT INTO seen VALUES(498750,X'7516C4BA8010EABC95A333ADD8DD6BD7A3842284',383496958771232774);
INSERT INTO seen VALUES(498750,X'7516C4BA977CF1821DD80677D7182EDFFD72AA28',383496958771232777);
INSERT INTO seen VALUES(498750,X'7516C4BAEAEBB83F09D926EC45BCC2A80B64D1F4',383496958771232771);

CREATE TABLE source_accounts (
  source_id  TEXT PRIMARY KEY,
  account_id INTEGER NOT NULL
) STRICT;
INSERT INTO source_accounts VALUES('src_cazcfzf0s3',1);

pragma user_version=1;

COMMIT TRANSACTION;
