-- +goose Up
-- Tries to sign in that failed, for the eyes of the account's holder: one row for all from one network. They are written a
-- minute later and in bulk, so that whoever guesses does not have us write for each guess.
CREATE TABLE failed_sign_ins (
	user_id    TEXT NOT NULL REFERENCES users (id),
	network    TEXT NOT NULL,
	user_agent TEXT NOT NULL,
	first_at   BIGINT NOT NULL,
	last_at    BIGINT NOT NULL,
	tries      BIGINT NOT NULL,
	PRIMARY KEY (user_id, network)
) WITHOUT ROWID;
CREATE INDEX failed_sign_ins_last ON failed_sign_ins (last_at);
