-- +goose Up
-- A tree by hash held whole rows in its inner nodes too: ten to a page, and a refresh went down five of them for
-- each row. Now the rows lie in the order in which they came, and the index by hash has little in it.
-- What never changes in a session is copied into the rows of access tokens alone, which introspection reads; a
-- refresh token is read with its session. Rows of before keep their copies.
CREATE TABLE tokens_by_id (
	id          INTEGER PRIMARY KEY,
	hash        BLOB NOT NULL,
	kind        TEXT NOT NULL,
	session_id  TEXT NOT NULL,
	generation  BIGINT NOT NULL,
	pair        BIGINT NOT NULL,
	parent      BLOB,
	created_at  BIGINT NOT NULL,
	expires_at  BIGINT,
	used_at     BIGINT,
	user_id     TEXT NOT NULL,
	localpart   TEXT NOT NULL,
	device_id   TEXT NOT NULL,
	scope       TEXT NOT NULL,
	client_id   TEXT NOT NULL DEFAULT ''
);
INSERT INTO tokens_by_id (hash, kind, session_id, generation, pair, parent, created_at, expires_at, used_at, user_id, localpart, device_id, scope, client_id)
	SELECT hash, kind, session_id, generation, pair, parent, created_at, expires_at, used_at, user_id, localpart, device_id, scope, client_id FROM tokens;
DROP TABLE tokens;
ALTER TABLE tokens_by_id RENAME TO tokens;
CREATE UNIQUE INDEX tokens_hash ON tokens (hash);
CREATE INDEX tokens_session ON tokens (session_id, kind, generation);
