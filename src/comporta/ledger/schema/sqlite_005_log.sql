-- Offsets mean something in one log only. A partition that is claimed for another log begins anew.
ALTER TABLE partitions ADD COLUMN log TEXT NOT NULL DEFAULT 'sqlite';
