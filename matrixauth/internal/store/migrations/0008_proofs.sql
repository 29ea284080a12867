-- +goose Up
-- By which methods whoever is signed in proved who they are, at the time authenticated_at: values of RFC 8176, with
-- a space between. Until now there was the password alone.
ALTER TABLE browser_sessions ADD COLUMN methods TEXT NOT NULL DEFAULT '';
UPDATE browser_sessions SET methods = 'pwd';
