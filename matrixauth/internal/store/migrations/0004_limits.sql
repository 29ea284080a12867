-- +goose Up
-- The networks from which an account was used lately, and the browsers in which it signed in before: tries
-- to sign in from there have limits of their own. They grant nothing. hash is that of a value of the device
-- cookie.
CREATE TABLE known_networks (
	user_id TEXT NOT NULL REFERENCES users (id),
	network TEXT NOT NULL,
	seen_at BIGINT NOT NULL,
	PRIMARY KEY (user_id, network)
) WITHOUT ROWID;
CREATE INDEX known_networks_seen ON known_networks (seen_at);

CREATE TABLE known_browsers (
	hash    BLOB PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id),
	seen_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX known_browsers_user ON known_browsers (user_id, seen_at);
CREATE INDEX known_browsers_seen ON known_browsers (seen_at);

-- What anybody can have us keep is bounded in sum: network tells who holds a row, and is empty once somebody
-- consented; size is that of its JSON text in bytes. shown_at is when a browser was first shown the page of a request.
ALTER TABLE authorizations ADD COLUMN network TEXT NOT NULL DEFAULT '';
ALTER TABLE authorizations ADD COLUMN size BIGINT NOT NULL DEFAULT 0;
ALTER TABLE authorizations ADD COLUMN shown_at BIGINT;
CREATE INDEX authorizations_waiting ON authorizations (user_id, network, shown_at, created_at, size) WHERE user_id IS NULL;
CREATE INDEX authorizations_answered ON authorizations (user_id, code_expires_at) WHERE user_id IS NOT NULL;

ALTER TABLE clients ADD COLUMN network TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN size BIGINT NOT NULL DEFAULT 0;
UPDATE clients SET size = LENGTH(metadata);
CREATE INDEX clients_unproven ON clients (proven_at, network, used_at, size) WHERE proven_at IS NULL;
