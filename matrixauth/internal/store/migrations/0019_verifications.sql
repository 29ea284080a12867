-- +goose Up
-- Addresses that somebody is to prove by a code in a mail. There is one for each registration or account.
CREATE TABLE verifications (
	id TEXT PRIMARY KEY,
	subject_kind TEXT NOT NULL,
	subject_id TEXT NOT NULL,
	address TEXT NOT NULL,
	key TEXT NOT NULL,
	language TEXT NOT NULL,
	code BLOB NOT NULL,
	tries BIGINT NOT NULL,
	mails BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	accepted_at BIGINT,
	refused_at BIGINT,
	proven_at BIGINT,
	UNIQUE (subject_kind, subject_id)
);
CREATE INDEX verifications_created ON verifications (created_at, id);
