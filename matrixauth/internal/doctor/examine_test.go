package doctor_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
)

// TestDoctor has the doctor look at what no homeserver is needed for; that it reads a real one is tested
// on real parts.
func TestDoctor(t *testing.T) {
	outbox := func(d *doctor.Visit) { d.WaitingJobs(t.Context()) }
	t.Run("jobs that wait a little are well", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		h.WantFinding(t, outbox, true, "0 jobs wait", "")
		h.Fake.Stop()
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		h.WantFinding(t, outbox, true, "1 jobs wait, none was refused", "")
	})
	t.Run("jobs that wait long", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		h.Fake.Stop()
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		h.Clock.Move(time.Hour)
		h.Pass()
		h.WantFinding(t, outbox, false, "1 jobs wait for Synapse, the oldest for 1h0m0s; its last failure: ", "by themselves")
	})
	t.Run("a job that was refused", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		h.Tap.RefuseAll("delete_device")
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		h.Settle()
		h.WantFinding(t, outbox, false, "user @alice:"+house.ServerName+", ", "repeat the change")
		h.WantFinding(t, outbox, false, ") was refused by Synapse for good: ", "repeat the change")
	})
	t.Run("the database is gone", func(t *testing.T) {
		h := house.New(t)
		h.Die()
		h.WantFinding(t, func(d *doctor.Visit) { d.Database(t.Context()) }, false, "does not answer", "restore a backup")
		h.WantFinding(t, outbox, false, "cannot be read", "restore a backup")
		h.Open()
		h.WantFinding(t, func(d *doctor.Visit) { d.Database(t.Context()) }, true, "answers, schema", "")
	})
	t.Run("synapse has known security holes", func(t *testing.T) { // SYN-25
		unsafe := fake.Start(t, fake.Config{ServerName: house.ServerName, Secret: house.SharedKey, Version: homeserver.Version{Major: 1, Minor: 157, Patch: 1}})
		h := house.New(t, func(c *matrixauth.Config) { c.Endpoint = unsafe.URL.String() })
		h.WantFinding(t, func(d *doctor.Visit) { d.Version(t.Context()) }, false, "Synapse 1.157.1 answers, and has security holes that 1.157.2 closed", "upgrade Synapse")
		h.WantFinding(t, func(d *doctor.Visit) { d.OurCall(t.Context()) }, true, "knows our secret", "")
		h = house.New(t)
		h.WantFinding(t, func(d *doctor.Visit) { d.Version(t.Context()) }, true, "Synapse 1.163.2 answers", "")
	})
	t.Run("the guard, from outside", func(t *testing.T) { // SYN-14
		for name, test := range map[string]struct {
			answer http.HandlerFunc
			ok     bool
		}{
			"a secret is judged": {func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				say(w, `{"errcode":"M_FORBIDDEN"}`)
			}, false},
			"something else answers": {func(w http.ResponseWriter, _ *http.Request) { say(w, "<html>") }, false},
			"synapse knows nobody": {func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusNotFound)
				say(w, `{"errcode":"M_NOT_FOUND"}`)
			}, false},
			"a proxy keeps us out": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden); say(w, "no") }, true},
			"open below a prefix": {func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusNotFound)
				if strings.HasPrefix(r.URL.Path, "/_synapse") {
					say(w, `{"errcode":"M_UNRECOGNIZED"}`)
				} else {
					say(w, `{"errcode":"M_NOT_FOUND"}`)
				}
			}, false},
		} {
			t.Run(name, func(t *testing.T) {
				site := httptest.NewServer(test.answer)
				defer site.Close()
				h := house.New(t, func(c *matrixauth.Config) { c.Issuer = site.URL })
				what := "is open"
				if test.ok {
					what = "is closed"
				}
				h.WantFinding(t, func(d *doctor.Visit) { d.Guard(t.Context()) }, test.ok, what, "")
			})
		}
		t.Run("ours", func(t *testing.T) {
			var h *house.House
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Serve(w, r) }))
			defer site.Close()
			h = house.New(t, func(c *matrixauth.Config) { c.Issuer = site.URL })
			h.WantFinding(t, func(d *doctor.Visit) { d.Guard(t.Context()) }, true, "is closed", "")
		})
	})
	t.Run("synapse is too old", func(t *testing.T) {
		old := fake.Start(t, fake.Config{ServerName: house.ServerName, Secret: house.SharedKey, Version: homeserver.Version{Major: 1, Minor: 135}})
		h := house.New(t, func(c *matrixauth.Config) { c.Endpoint = old.URL.String() })
		h.WantFinding(t, func(d *doctor.Visit) { d.Version(t.Context()) }, false, "Synapse 1.135.0 is too old; 1.136.0", "upgrade")
		h.WantFinding(t, func(d *doctor.Visit) { d.OurCall(t.Context()) }, false, "not delegated", "synapse-config")
	})
}

// say writes the body of an answer.
func say(w io.Writer, text string) {
	_, _ = io.WriteString(w, text) // the test looks at what arrived
}
