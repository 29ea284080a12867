-- +goose Up
-- Where a pair was minted and where the pair before it was: two marks of networks, by a keyed hash, in the row of the
-- refresh token. They tell the owner's refreshes from a thief's. NULL for what nobody knows.
ALTER TABLE tokens ADD COLUMN places BLOB;
-- When a session was last found to be refreshed by two parties at once.
ALTER TABLE sessions ADD COLUMN twice_at BIGINT;
