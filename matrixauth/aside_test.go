package matrixauth_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
)

// aside are the parameters of every action, for a database that is not the server's, and whether it is refused.
var aside = map[string]struct {
	params  string
	refused bool
}{
	"user.check":                {`{"localpart":"carol"}`, true},
	"user.add":                  {`{"localpart":"carol","password":"correct horse battery","force":true}`, true},
	"user.list":                 {`{}`, false},
	"user.show":                 {`{"user":"alice"}`, false},
	"user.set-password":         {`{"user":"alice","password":"another long password"}`, false},
	"user.add-email":            {`{"user":"alice","email":"alice@example.com"}`, false},
	"user.lock":                 {`{"user":"alice"}`, false},
	"user.unlock":               {`{"user":"alice"}`, false},
	"user.deactivate":           {`{"user":"bob"}`, false},
	"user.try-deactivate":       {`{"user":"bob"}`, false},
	"user.reactivate":           {`{"user":"bob"}`, false},
	"user.set-admin":            {`{"user":"alice","admin":true}`, false},
	"user.allow-reset":          {`{"user":"alice"}`, true},
	"user.recovery-link":        {`{"user":"alice"}`, true},
	"session.list":              {`{"user":"alice"}`, false},
	"session.end":               {`{"user":"alice"}`, false},
	"session.lost":              {`{}`, false},
	"session.end-lost":          {`{}`, false},
	"token.issue":               {`{"user":"alice"}`, true},
	"consent.list":              {`{"user":"alice"}`, false},
	"consent.withdraw":          {`{"user":"alice","all":true}`, false},
	"user.remove-email":         {`{"user":"alice","email":"alice@example.com"}`, false},
	"user.set-display-name":     {`{"user":"alice","display_name":"Alice"}`, false},
	"client.list":               {`{}`, false},
	"client.show":               {`{"client_id":"none"}`, true},
	"client.remove":             {`{"client_id":"none"}`, true},
	"outbox.list":               {`{}`, false},
	"outbox.retry":              {`{"position":1000}`, true},
	"outbox.drop":               {`{"position":1000}`, true},
	"audit.list":                {`{}`, false},
	"key.renew":                 {`{}`, true},
	"mail.test":                 {`{"address":"alice@example.org"}`, true},
	"registration-token.create": {`{}`, false},
	"registration-token.list":   {`{}`, false},
	"registration-token.show":   {`{"token":"none"}`, true},
	"registration-token.revoke": {`{"token":"none"}`, true},
	"registration.list":         {`{}`, false},
	"registration.approve":      {`{"user":"carol"}`, true},
	"registration.reject":       {`{"user":"carol"}`, true},
	"move.pepper":               {`{}`, false},
	"move.journal":              {`{}`, false},
	"move.accounts":             {`{}`, false},
	"move.registration-tokens":  {`{"tokens":[]}`, false},
	"move.passwords":            {`{"limit":1}`, false},
	"doctor":                    {`{}`, true},
	"doctor.compare":            {`{}`, true},
	"doctor.mend":               {`{}`, true},
	"backup.note":               {`{}`, false},
	"instance":                  {`{}`, false},
	"secret.tell":               {`{}`, false},
	"secret.take":               {`{"secret":"x"}`, true},
}

// TestAside works on a database that is not the server's, such as a backup: Synapse is neither asked nor told
// anything on its behalf, nor does the server's own database change.
func TestAside(t *testing.T) {
	ctx := t.Context()
	h := house.New(t)
	h.Add("alice", "bob")
	h.LoginOn("alice", "PHONE")
	h.Settle()
	file := filepath.Join(t.TempDir(), "copy.db")
	made, err := h.Store.Copy(ctx)
	h.Must(err)
	content, err := io.ReadAll(made)
	h.Must(errors.Join(err, made.Close(), os.WriteFile(file, content, 0o600)))

	var calls atomic.Int64
	synapse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { calls.Add(1); http.Error(w, "{}", http.StatusTeapot) }))
	t.Cleanup(synapse.Close)
	config := h.Config
	config.Endpoint, config.Secret = synapse.URL, "" // a backup has no secret beside it
	before := h.Rows()
	server, err := matrixauth.Target{Database: file, Aside: true}.OpenAside(ctx, config, matrixauth.Deps{Logger: slog.New(slog.NewJSONHandler(h.Log, nil))})
	h.Must(err)
	perform := func(name string) error {
		_, err := server.Table().Perform(ctx, model.Actor{}, name, []byte(aside[name].params))
		return err
	}
	needSynapse := server.Table().Names(operate.AsksSynapse)
	for _, name := range server.Table().Names(0) {
		test, known := aside[name]
		if !known {
			t.Fatalf("it is not decided what %s is on a database aside", name)
		}
		if !test.refused {
			continue
		}
		if err := perform(name); err == nil || slices.Contains(needSynapse, name) && !strings.Contains(err.Error(), "what needs Synapse is not done on it") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"user.list", "user.show", "user.set-password", "user.add-email", "user.remove-email", "user.set-display-name", "client.list", "outbox.list", "user.lock", "user.unlock", "user.set-admin", "session.list",
		"session.end", "session.lost", "session.end-lost", "consent.list", "consent.withdraw", "user.deactivate", "user.reactivate", "audit.list", "instance", "secret.tell", "backup.note", "registration-token.list", "registration.list", "move.journal", "move.accounts", "move.registration-tokens", "move.passwords"} {
		if err := perform(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What was left to the outbox stays there, even where somebody would hurry it.
	server.Jobs().Pass(ctx)
	state, err := server.Jobs().State(ctx)
	if err != nil || state.Waiting == 0 || strings.Contains(h.Log.String(), "a job failed") {
		t.Errorf("%d jobs wait, %v\n%s", state.Waiting, err, h.Log)
	}
	h.Must(server.Operator().Close())
	if calls.Load() != 0 {
		t.Errorf("Synapse was called %d times", calls.Load())
	}
	if after := h.Rows(); after != before {
		t.Errorf("the server's database changed from\n%s\nto\n%s", before, after)
	}
	h.WantDevices("alice", "PHONE")
}
