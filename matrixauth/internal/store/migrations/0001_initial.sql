-- +goose Up
-- Times are microseconds since the epoch, UTC. Ids are ULIDs. A NULL time means "not yet".

CREATE TABLE users (
	id             TEXT PRIMARY KEY,
	localpart      TEXT NOT NULL UNIQUE,
	admin          BOOLEAN NOT NULL DEFAULT FALSE,
	created_at     BIGINT NOT NULL,
	locked_at      BIGINT,
	deactivated_at BIGINT
);
CREATE INDEX users_locked ON users (id) WHERE locked_at IS NOT NULL;

CREATE TABLE user_emails (
	id         TEXT PRIMARY KEY,
	user_id    TEXT NOT NULL REFERENCES users (id),
	address    TEXT NOT NULL,
	key        TEXT NOT NULL UNIQUE,
	created_at BIGINT NOT NULL
);
CREATE INDEX user_emails_user ON user_emails (user_id);

CREATE TABLE passwords (
	user_id    TEXT PRIMARY KEY REFERENCES users (id),
	hash       TEXT NOT NULL,
	changed_at BIGINT NOT NULL
);

-- generation: highest minted; used_generation: highest of which a token was used; pairs: how many
-- pairs of tokens were minted. See docs/sessions.md.
CREATE TABLE sessions (
	id              TEXT PRIMARY KEY,
	kind            TEXT NOT NULL,
	user_id         TEXT NOT NULL REFERENCES users (id),
	device_id       TEXT NOT NULL,
	device_name     TEXT NOT NULL,
	scope           TEXT NOT NULL,
	generation      BIGINT NOT NULL,
	used_generation BIGINT NOT NULL,
	pairs           BIGINT NOT NULL,
	created_at      BIGINT NOT NULL,
	last_active_at  BIGINT NOT NULL,
	last_ip         TEXT NOT NULL,
	user_agent      TEXT NOT NULL,
	ended_at        BIGINT,
	end_reason      TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
-- One live session per device: whoever signs in on a device replaces what was there.
CREATE UNIQUE INDEX sessions_live_device ON sessions (user_id, device_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_ip ON sessions (last_active_at) WHERE last_ip <> '';

-- The busiest table: introspection finds a row by its hash and needs nothing else, because what
-- never changes in a session (user, device, scope) is copied into it. Ending a session deletes its
-- tokens. used_at is the first use of an access token. A refresh token was used when a token was
-- minted that has it for a parent, so a refresh changes no token's row: it adds two.
CREATE TABLE tokens (
	hash        BLOB PRIMARY KEY,
	kind        TEXT NOT NULL,
	session_id  TEXT NOT NULL,
	generation  BIGINT NOT NULL,
	pair        BIGINT NOT NULL,
	parent      BLOB,
	created_at  BIGINT NOT NULL,
	expires_at  BIGINT,
	used_at     BIGINT,
	user_id     TEXT NOT NULL,
	localpart   TEXT NOT NULL,
	device_id   TEXT NOT NULL,
	scope       TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX tokens_session ON tokens (session_id, kind, generation);

CREATE TABLE outbox (
	position     BIGINT PRIMARY KEY,
	lane         TEXT NOT NULL,
	kind         TEXT NOT NULL,
	payload      TEXT NOT NULL,
	attempts     BIGINT NOT NULL DEFAULT 0,
	created_at   BIGINT NOT NULL,
	run_at       BIGINT NOT NULL,
	last_error   TEXT NOT NULL DEFAULT '',
	set_aside_at BIGINT
);
CREATE INDEX outbox_lane ON outbox (lane, position) WHERE set_aside_at IS NULL;
