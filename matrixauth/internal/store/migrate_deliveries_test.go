package store

import (
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestMigrateDeliveries: requests that were under way at an upgrade go on, in both of their halves; a browser that
// answered is told the same again, and its code works (AUTHZ-14).
func TestMigrateDeliveries(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "old.db")
	db, err := sql.Open("sqlite3", path)
	must(err)
	files, err := fs.Sub(migrations, "migrations")
	must(err)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithTableName(versionTable))
	must(err)
	_, err = provider.UpTo(t.Context(), 6)
	must(err)
	code := model.HashToken("the code")
	insert := "INSERT INTO authorizations (id, client_id, request, created_at, expires_at, user_id, code_hash, code_expires_at) VALUES (?1, 'app', ?2, 1, 2, ?3, ?4, ?5)"
	_, err = db.Exec(insert, "waiting", `{"redirect_uri":"https://app.example/cb?a=\"b","response_mode":"form_post","state":"<é>","has_state":true,"scope":"a b",`+
		`"device_id":"PHONE","code_challenge":"E9","login":true,"consent":true,"select":true,"create":true,"max_age":0,"login_hint":"alice","ui_locales":"de en"}`, nil, nil, nil)
	must(err)
	_, err = db.Exec(insert, "answered", `{"redirect_uri":"https://app.example/cb","response_mode":"query","scope":"a"}`, "alice", code[:], 3)
	must(err)
	_, err = db.Exec(insert, "broken", `{`, nil, nil, nil)
	must(errors.Join(err, db.Close()))

	s, err := Open(t.Context(), Options{Path: path, Now: time.Now})
	must(err)
	defer func() { must(s.Close()) }()
	must(s.View(t.Context(), func(tx *Tx) error {
		a, err := tx.Authorization("waiting")
		must(err)
		if a.Asked.MaxAge == nil || *a.Asked.MaxAge != 0 {
			t.Errorf("max_age is %v", a.Asked.MaxAge)
		}
		a.Asked.MaxAge = nil
		want := model.Request{
			Asked: model.Asked{Scope: "a b", DeviceID: "PHONE", Login: true, Consent: true, Select: true, Create: true, LoginHint: "alice", UILocales: "de en"},
			Delivery: model.Delivery{Kind: model.ByRedirect, Redirect: model.Redirect{
				RedirectURI: `https://app.example/cb?a="b`, ResponseMode: model.ModeFormPost, State: "<é>", HasState: true, Challenge: "E9",
			}},
		}
		if a.Request != want || a.Answered() {
			t.Errorf("%+v", a)
		}
		a, err = tx.AuthorizationByCode(code)
		if err != nil || a.ID != "answered" || a.AnswerHash != code || a.Delivery.Redirect.RedirectURI != "https://app.example/cb" || a.Asked.Scope != "a" {
			t.Errorf("%+v: %v", a, err)
		}
		halves, err := one(tx, scanText, "SELECT asked || delivery FROM authorizations WHERE id = 'answered'")
		must(err)
		if halves != `{"scope":"a"}{"kind":"redirect","redirect":{"redirect_uri":"https://app.example/cb","response_mode":"query"}}` {
			t.Errorf("the row is %s", halves)
		}
		if _, err := tx.Authorization("broken"); !errors.Is(err, model.ErrNotFound) {
			t.Errorf("a row that cannot be read: %v", err)
		}
		return nil
	}))
}
