-- +goose Up
-- What was taken over from another server: by its name there, with a fingerprint of all that it had, and what was made of it
-- here, so that a later run takes along what has changed and takes away what is gone.
CREATE TABLE taken_accounts (
	name        TEXT PRIMARY KEY,
	user_id     TEXT NOT NULL,
	fingerprint BLOB NOT NULL,
	taken       TEXT NOT NULL,
	taken_at    BIGINT NOT NULL
) WITHOUT ROWID;

-- How far the other server had come when its accounts were taken last.
CREATE TABLE taken_position (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	position BIGINT NOT NULL
);

CREATE TABLE taken_registration_tokens (
	hash BLOB PRIMARY KEY,
	used BIGINT NOT NULL,
	gone BOOLEAN NOT NULL
) WITHOUT ROWID;

-- Accounts at identity providers, as the other server named the provider. A provider that we get is matched with them.
CREATE TABLE external_links (
	provider TEXT NOT NULL,
	subject  TEXT NOT NULL,
	user_id  TEXT NOT NULL REFERENCES users (id),
	PRIMARY KEY (provider, subject)
) WITHOUT ROWID;
CREATE INDEX external_links_user ON external_links (user_id);

-- Third-party ids that are no mail addresses. Nothing uses them yet.
CREATE TABLE other_threepids (
	user_id  TEXT NOT NULL REFERENCES users (id),
	medium   TEXT NOT NULL,
	address  TEXT NOT NULL,
	added_at BIGINT,
	PRIMARY KEY (user_id, medium, address)
) WITHOUT ROWID;

-- A registration of a name that the homeserver has already: it waited there.
ALTER TABLE registrations ADD COLUMN existing BOOLEAN NOT NULL DEFAULT FALSE;
