-- +goose Up
-- Tokens say themselves to which session they belong, and prove it by a key that is in a file beside the database.
-- The database knows the keys by number and fingerprint: no number is given twice.
CREATE TABLE token_keys (
	number      BIGINT PRIMARY KEY,
	fingerprint TEXT NOT NULL,
	noted_at    BIGINT NOT NULL
);
-- What a session's tokens are proven by beside the key; NULL for sessions of before.
ALTER TABLE sessions ADD COLUMN seed BLOB;
