-- +goose Up
-- Who changed what of which account: the audit log. A row is written in the transaction of the change. actor_id is the
-- uid of an operator or the id of a user. details is JSON and holds no secret. user_id is empty for what is no account's.
CREATE TABLE events (
	position   INTEGER PRIMARY KEY,
	at         BIGINT NOT NULL,
	actor_kind TEXT NOT NULL,
	actor_id   TEXT NOT NULL,
	actor_name TEXT NOT NULL,
	ip         TEXT NOT NULL,
	user_agent TEXT NOT NULL,
	action     TEXT NOT NULL,
	user_id    TEXT NOT NULL,
	details    TEXT NOT NULL
);
CREATE INDEX events_user ON events (user_id, position);
CREATE INDEX events_at ON events (at);
CREATE INDEX events_origin ON events (at) WHERE ip <> '' OR user_agent <> '';
