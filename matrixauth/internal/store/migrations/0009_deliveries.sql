-- +goose Up
-- What a client asked for, apart from how the answer reaches it; answer_hash tells the browser that answered, and
-- code_hash is what the client presents. All requests so far are answered by a redirect with a code, which follows
-- from the browser.
DELETE FROM authorizations WHERE NOT json_valid(request);
ALTER TABLE authorizations RENAME COLUMN request TO asked;
ALTER TABLE authorizations ADD COLUMN delivery TEXT NOT NULL DEFAULT '{}';
ALTER TABLE authorizations ADD COLUMN answer_hash BLOB;
UPDATE authorizations SET
	delivery = json_object('kind', 'redirect', 'redirect', json_remove(asked,
		'$.scope', '$.device_id', '$.login', '$.consent', '$.select', '$.create', '$.max_age', '$.login_hint', '$.ui_locales')),
	asked = json_remove(asked, '$.redirect_uri', '$.response_mode', '$.state', '$.has_state', '$.code_challenge'),
	answer_hash = code_hash;
