-- The tables that are read, as Synapse's SQLite has them at schema 94, without the columns that are not.
CREATE TABLE schema_version (lock CHAR(1) NOT NULL DEFAULT 'X' UNIQUE, version INTEGER NOT NULL, upgraded BOOL NOT NULL);
INSERT INTO schema_version (version, upgraded) VALUES (94, 0);
CREATE TABLE users (name TEXT, password_hash TEXT, creation_ts BIGINT, admin SMALLINT DEFAULT 0 NOT NULL, upgrade_ts BIGINT,
  is_guest SMALLINT DEFAULT 0 NOT NULL, appservice_id TEXT, consent_version TEXT, consent_server_notice_sent TEXT, user_type TEXT,
  deactivated SMALLINT DEFAULT 0 NOT NULL, shadow_banned BOOLEAN, consent_ts BIGINT, approved BOOLEAN,
  locked BOOLEAN DEFAULT FALSE NOT NULL, suspended BOOLEAN DEFAULT FALSE NOT NULL, UNIQUE (name));
CREATE TABLE erased_users (user_id TEXT NOT NULL);
CREATE UNIQUE INDEX erased_users_user ON erased_users (user_id);
CREATE TABLE user_threepids (user_id TEXT NOT NULL, medium TEXT NOT NULL, address TEXT NOT NULL, validated_at BIGINT NOT NULL,
  added_at BIGINT NOT NULL, CONSTRAINT medium_address UNIQUE (medium, address));
CREATE INDEX user_threepids_user_id ON user_threepids (user_id);
CREATE TABLE user_external_ids (auth_provider TEXT NOT NULL, external_id TEXT NOT NULL, user_id TEXT NOT NULL, UNIQUE (auth_provider, external_id));
CREATE TABLE devices (user_id TEXT NOT NULL, device_id TEXT NOT NULL, display_name TEXT, last_seen BIGINT, ip TEXT, user_agent TEXT,
  hidden BOOLEAN DEFAULT FALSE, CONSTRAINT device_uniqueness UNIQUE (user_id, device_id));
CREATE TABLE dehydrated_devices (user_id TEXT NOT NULL PRIMARY KEY, device_id TEXT NOT NULL, device_data TEXT NOT NULL);
CREATE TABLE refresh_tokens (id BIGINT PRIMARY KEY, user_id TEXT NOT NULL, device_id TEXT NOT NULL, token TEXT NOT NULL,
  next_token_id BIGINT REFERENCES refresh_tokens (id) ON DELETE CASCADE, expiry_ts BIGINT, ultimate_session_expiry_ts BIGINT, UNIQUE (token));
CREATE TABLE access_tokens (id BIGINT PRIMARY KEY, user_id TEXT NOT NULL, device_id TEXT, token TEXT NOT NULL, valid_until_ms BIGINT,
  puppets_user_id TEXT, last_validated BIGINT, refresh_token_id BIGINT REFERENCES refresh_tokens (id) ON DELETE CASCADE, used BOOLEAN, UNIQUE (token));
CREATE INDEX access_tokens_device_id ON access_tokens (user_id, device_id);
CREATE TABLE registration_tokens (token TEXT NOT NULL, uses_allowed INT, pending INT NOT NULL, completed INT NOT NULL, expiry_time BIGINT, UNIQUE (token));
