-- +goose Up
-- When the database was last known to live, and when it was not: what it knows of those times it may have forgotten.
CREATE TABLE alive (
	id BIGINT PRIMARY KEY,
	at BIGINT NOT NULL
);
CREATE TABLE gaps (
	began BIGINT PRIMARY KEY,
	ended BIGINT NOT NULL
);
