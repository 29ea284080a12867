-- +goose Up
-- Sessions of which clients have proven tokens, and of which there is no row in sessions; and since when those that
-- began before count as ended.
CREATE TABLE lost_sessions (
	session_id TEXT PRIMARY KEY,
	kind TEXT NOT NULL,
	first_seen_at BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	refreshes BIGINT NOT NULL,
	introspections BIGINT NOT NULL,
	last_ip TEXT NOT NULL,
	user_agent TEXT NOT NULL,
	ended_at BIGINT
);
CREATE INDEX lost_sessions_seen ON lost_sessions (last_seen_at);
CREATE TABLE lost_ended (
	id BIGINT PRIMARY KEY,
	began_before BIGINT NOT NULL
);
