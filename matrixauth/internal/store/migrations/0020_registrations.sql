-- +goose Up
-- Registrations of accounts that are under way, bound to the browser (the hash of its cookie), and those that wait for an
-- operator or were decided. Only the hash of a password is here.
CREATE TABLE registrations (
	id TEXT PRIMARY KEY,
	state TEXT NOT NULL,
	browser BLOB NOT NULL,
	localpart TEXT NOT NULL,
	lost_localpart TEXT NOT NULL,
	password TEXT NOT NULL,
	password_at BIGINT,
	display_name TEXT NOT NULL,
	email TEXT NOT NULL,
	email_key TEXT NOT NULL,
	email_skipped BOOLEAN NOT NULL,
	token_id TEXT NOT NULL,
	terms TEXT NOT NULL,
	user_id TEXT NOT NULL,
	language TEXT NOT NULL,
	ip TEXT NOT NULL,
	network TEXT NOT NULL,
	size BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	finished_at BIGINT,
	expires_at BIGINT NOT NULL
);
CREATE INDEX registrations_expiry ON registrations (expires_at);
-- What room is made by: no row is read for it.
CREATE INDEX registrations_open ON registrations (state, network, password_at, created_at, size, id) WHERE state = 'open';
CREATE INDEX registrations_waiting ON registrations (state, network, finished_at, size, id) WHERE state = 'waiting';
CREATE UNIQUE INDEX registrations_reserved ON registrations (localpart) WHERE state = 'waiting';
-- Invitations, under the hash of what is typed; the token itself is sealed.
CREATE TABLE registration_tokens (
	id TEXT PRIMARY KEY,
	hash BLOB NOT NULL UNIQUE,
	sealed BLOB NOT NULL,
	uses BIGINT,
	used BIGINT NOT NULL,
	localpart TEXT NOT NULL,
	email TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT,
	revoked_at BIGINT
);
-- Which versions of the terms of service an account accepted.
CREATE TABLE accepted_terms (
	user_id TEXT NOT NULL REFERENCES users (id),
	version TEXT NOT NULL,
	accepted_at BIGINT NOT NULL,
	PRIMARY KEY (user_id, version)
);
