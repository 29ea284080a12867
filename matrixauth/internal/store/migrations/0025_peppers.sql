-- +goose Up
-- What other servers appended to passwords before they hashed them, sealed. A hash in passwords names its own
-- ("{pepper:ID}$2b$..."). The greatest number is that of the server from which hashes are taken over now.
CREATE TABLE password_peppers (
	id      TEXT PRIMARY KEY,
	sealed  BLOB NOT NULL,
	number  BIGINT NOT NULL,
	made_at BIGINT NOT NULL
) WITHOUT ROWID;
