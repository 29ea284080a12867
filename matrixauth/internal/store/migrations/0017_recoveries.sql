-- +goose Up
-- Since when an address was chosen for recovery by name; NULL if it was not, and without a choice the oldest serves.
ALTER TABLE user_emails ADD COLUMN recovery_since BIGINT;

-- Ways back to an account whose password somebody forgot. A row is first a request: what was typed stands sealed in asked,
-- and user_id is NULL until it was looked up. Then it is a ticket: its hash, and sealed in ticket while its mail waits.
CREATE TABLE recoveries (
	id          TEXT PRIMARY KEY,
	user_id     TEXT REFERENCES users (id),
	email_id    TEXT NOT NULL DEFAULT '',
	asked       BLOB,
	ticket_hash BLOB UNIQUE,
	ticket      BLOB,
	language    TEXT NOT NULL,
	ip          TEXT NOT NULL,
	created_at  BIGINT NOT NULL,
	accepted_at BIGINT,
	expires_at  BIGINT NOT NULL,
	ended_at    BIGINT,
	end_reason  TEXT NOT NULL DEFAULT '',
	used_by     BLOB
);
CREATE INDEX recoveries_user ON recoveries (user_id);
CREATE INDEX recoveries_expires ON recoveries (expires_at);
