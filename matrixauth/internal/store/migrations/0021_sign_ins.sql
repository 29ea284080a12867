-- +goose Up
-- In what language the holder of an account reads, by their last sign-in; and when the first one was, of which nobody is
-- told by mail. Accounts of before had it.
ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN signed_in_at BIGINT;
UPDATE users SET signed_in_at = created_at;
-- When the sign-in of a browser session was told to its holder, or needed no telling as it was the first.
ALTER TABLE browser_sessions ADD COLUMN told_at BIGINT;
