-- +goose Up
-- When somebody first consented to a client; NULL for one that nobody ever trusted. Until now a use after the
-- day of the registration stood for that.
ALTER TABLE clients ADD COLUMN proven_at BIGINT;
UPDATE clients SET proven_at = used_at WHERE used_at > created_at;

-- Whether a consent of before approved a request, and nobody was asked.
ALTER TABLE authorizations ADD COLUMN remembered BOOLEAN NOT NULL DEFAULT FALSE;

-- The codes of a user that wait for their exchange.
CREATE INDEX authorizations_unspent ON authorizations (user_id, client_id) WHERE code_hash IS NOT NULL AND consumed_at IS NULL;
