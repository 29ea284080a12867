-- +goose Up
-- When a session is over, however it is refreshed; NULL for never. Sessions that another server began may have such an end.
ALTER TABLE sessions ADD COLUMN ends_at BIGINT;
CREATE INDEX sessions_ends ON sessions (ends_at) WHERE ends_at IS NOT NULL AND ended_at IS NULL;
-- Tokens that another server made: they stay as long as their session, as they say nothing of themselves.
ALTER TABLE tokens ADD COLUMN imported BOOLEAN;
CREATE INDEX tokens_imported ON tokens (session_id) WHERE imported;
-- Names that another server allowed may have capitals, and are found in whichever spelling somebody types.
CREATE INDEX users_folded ON users (lower(localpart));
