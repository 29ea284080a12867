-- +goose Up
-- Of which homeserver the accounts are: its server_name, which is a part of every Matrix id and can never
-- change. There is one row from the first account on.
CREATE TABLE homeserver (
	one         INTEGER PRIMARY KEY CHECK (one = 1),
	server_name TEXT NOT NULL
);

-- What operators did while no server ran, until a server's log has it. line is the line's fields, as JSON.
CREATE TABLE action_lines (
	position INTEGER PRIMARY KEY,
	at       BIGINT NOT NULL,
	line     TEXT NOT NULL
);
