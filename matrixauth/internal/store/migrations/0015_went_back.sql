-- +goose Up
-- The last time at which the database was found to be an earlier state of itself, as a backup that was put back is: when
-- that was noticed, and its last note of life before.
CREATE TABLE went_back (
	id    BIGINT PRIMARY KEY,
	since BIGINT NOT NULL,
	at    BIGINT NOT NULL
);
