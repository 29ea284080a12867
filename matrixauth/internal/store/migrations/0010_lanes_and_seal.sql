-- +goose Up
-- A lane is a destination with a subject: what is said to the homeserver about a user waits behind nothing else.
-- Until now every job was for the homeserver, and its lane was the id of a user.
ALTER TABLE outbox RENAME COLUMN lane TO subject;
ALTER TABLE outbox ADD COLUMN destination TEXT NOT NULL DEFAULT 'homeserver';
DROP INDEX outbox_lane;
CREATE INDEX outbox_lane ON outbox (destination, subject, position) WHERE set_aside_at IS NULL;

-- The last position given to a job. None is given twice, so that whoever names a job by it means no other.
CREATE TABLE outbox_position (
	one  INTEGER PRIMARY KEY CHECK (one = 1),
	last BIGINT NOT NULL
);
INSERT INTO outbox_position (one, last) SELECT 1, COALESCE(MAX(position), 0) FROM outbox;

-- Under what purposes values were sealed, and by the file with which key: so that another file than that one,
-- or none, is told from a value that was damaged.
CREATE TABLE seals (
	purpose   TEXT PRIMARY KEY,
	key_id    TEXT NOT NULL,
	sealed_at BIGINT NOT NULL
);
