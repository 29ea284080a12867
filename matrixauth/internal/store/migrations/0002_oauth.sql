-- +goose Up
-- Clients that registered themselves. metadata is what was registered, as JSON under its RFC 7591 names.
-- digest is the hash of it in canonical form: whoever registers the same again gets the same client,
-- unless it has a secret, which nobody could be told twice.
CREATE TABLE clients (
	id          TEXT PRIMARY KEY,
	metadata    TEXT NOT NULL,
	digest      BLOB UNIQUE,
	secret_hash BLOB,
	created_at  BIGINT NOT NULL,
	used_at     BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX clients_used ON clients (used_at);

-- Who is signed in at our pages. hash is that of the cookie's value.
CREATE TABLE browser_sessions (
	id               TEXT PRIMARY KEY,
	hash             BLOB NOT NULL UNIQUE,
	user_id          TEXT NOT NULL REFERENCES users (id),
	created_at       BIGINT NOT NULL,
	authenticated_at BIGINT NOT NULL,
	last_active_at   BIGINT NOT NULL,
	last_ip          TEXT NOT NULL,
	user_agent       TEXT NOT NULL,
	ended_at         BIGINT,
	end_reason       TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX browser_sessions_user ON browser_sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX browser_sessions_ended ON browser_sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX browser_sessions_idle ON browser_sessions (last_active_at) WHERE ended_at IS NULL;

-- Authorization requests on their way: asked for by a client, approved by a user, exchanged for a
-- session. request is what the client asked for, as JSON.
CREATE TABLE authorizations (
	id                 TEXT PRIMARY KEY,
	client_id          TEXT NOT NULL,
	request            TEXT NOT NULL,
	created_at         BIGINT NOT NULL,
	expires_at         BIGINT NOT NULL,
	user_id            TEXT,
	browser_session_id TEXT NOT NULL DEFAULT '',
	code_hash          BLOB UNIQUE,
	code_expires_at    BIGINT,
	consumed_at        BIGINT,
	session_id         TEXT
) WITHOUT ROWID;
CREATE INDEX authorizations_expires ON authorizations (expires_at);

-- Consent that need not be asked for again. scope leaves the device out, as every sign-in has a new one.
CREATE TABLE consents (
	user_id      TEXT NOT NULL REFERENCES users (id),
	client_id    TEXT NOT NULL,
	redirect_uri TEXT NOT NULL,
	scope        TEXT NOT NULL,
	granted_at   BIGINT NOT NULL,
	PRIMARY KEY (user_id, client_id, redirect_uri)
) WITHOUT ROWID;
CREATE INDEX consents_granted ON consents (granted_at);

ALTER TABLE sessions ADD COLUMN client_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN browser_session_id TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_live_client ON sessions (client_id) WHERE ended_at IS NULL;
ALTER TABLE tokens ADD COLUMN client_id TEXT NOT NULL DEFAULT '';

-- A session for administration has no device, and a user may have several of those.
DROP INDEX sessions_live_device;
CREATE UNIQUE INDEX sessions_live_device ON sessions (user_id, device_id) WHERE ended_at IS NULL AND device_id <> '';

-- Every look-up by user asks for live sessions, and a bot may have ended thousands.
DROP INDEX sessions_user;
CREATE INDEX sessions_live_user ON sessions (user_id) WHERE ended_at IS NULL;

CREATE INDEX outbox_set_aside ON outbox (set_aside_at) WHERE set_aside_at IS NOT NULL;
