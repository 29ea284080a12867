package matrixauth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
)

// wantFinding runs one check of the doctor and reads its first finding.
func (h *house) wantFinding(t *testing.T, look func(*doctor.Visit), ok bool, what, change string) {
	t.Helper()
	d, err := h.current().Doctor().Begin(Examination{})
	h.must(err)
	defer d.End()
	look(d)
	if len(d.Findings) == 0 {
		t.Fatal("it found nothing, not even that all is well")
	}
	f := d.Findings[0]
	if f.OK != ok || !strings.Contains(f.What, what) || !strings.Contains(f.Change, change) {
		t.Errorf("it found %+v", f)
	}
	if !f.OK && (f.Where == "" || f.Change == "") {
		t.Errorf("it does not say where, or what to change: %+v", f)
	}
}

// TestDoctor has the doctor look at what no homeserver is needed for; that it reads a real one is tested
// on real parts.
func TestDoctor(t *testing.T) {
	outbox := func(d *doctor.Visit) { d.WaitingJobs(t.Context()) }
	t.Run("jobs that wait a little are well", func(t *testing.T) {
		h := newHouse(t)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		h.wantFinding(t, outbox, true, "0 jobs wait", "")
		h.fake.Stop()
		h.logout(s.AccessToken).want(t, http.StatusOK, "")
		h.wantFinding(t, outbox, true, "1 jobs wait, none was refused", "")
	})
	t.Run("jobs that wait long", func(t *testing.T) {
		h := newHouse(t)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		h.fake.Stop()
		h.logout(s.AccessToken).want(t, http.StatusOK, "")
		h.clock.Move(time.Hour)
		h.pass()
		h.wantFinding(t, outbox, false, "1 jobs wait for Synapse, the oldest for 1h0m0s; its last failure: ", "by themselves")
	})
	t.Run("a job that was refused", func(t *testing.T) {
		h := newHouse(t)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		h.tap.refuseAll("delete_device")
		h.logout(s.AccessToken).want(t, http.StatusOK, "")
		h.settle()
		h.wantFinding(t, outbox, false, "user @alice:"+serverName+", ", "repeat the change")
		h.wantFinding(t, outbox, false, ") was refused by Synapse for good: ", "repeat the change")
	})
	t.Run("the database is gone", func(t *testing.T) {
		h := newHouse(t)
		h.die()
		h.wantFinding(t, func(d *doctor.Visit) { d.Database(t.Context()) }, false, "does not answer", "restore a backup")
		h.wantFinding(t, outbox, false, "cannot be read", "restore a backup")
		h.open()
		h.wantFinding(t, func(d *doctor.Visit) { d.Database(t.Context()) }, true, "answers, schema", "")
	})
	t.Run("synapse has known security holes", func(t *testing.T) { // SYN-25
		unsafe := fake.Start(t, fake.Config{ServerName: serverName, Secret: sharedKey, Version: homeserver.Version{Major: 1, Minor: 157, Patch: 1}})
		h := newHouse(t, func(c *Config) { c.Endpoint = unsafe.URL.String() })
		h.wantFinding(t, func(d *doctor.Visit) { d.Version(t.Context()) }, false, "Synapse 1.157.1 answers, and has security holes that 1.157.2 closed", "upgrade Synapse")
		h.wantFinding(t, func(d *doctor.Visit) { d.OurCall(t.Context()) }, true, "knows our secret", "")
		h = newHouse(t)
		h.wantFinding(t, func(d *doctor.Visit) { d.Version(t.Context()) }, true, "Synapse 1.163.2 answers", "")
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
				h := newHouse(t, func(c *Config) { c.Issuer = site.URL })
				what := "is open"
				if test.ok {
					what = "is closed"
				}
				h.wantFinding(t, func(d *doctor.Visit) { d.Guard(t.Context()) }, test.ok, what, "")
			})
		}
		t.Run("ours", func(t *testing.T) {
			var h *house
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r) }))
			defer site.Close()
			h = newHouse(t, func(c *Config) { c.Issuer = site.URL })
			h.wantFinding(t, func(d *doctor.Visit) { d.Guard(t.Context()) }, true, "is closed", "")
		})
	})
	t.Run("synapse is too old", func(t *testing.T) {
		old := fake.Start(t, fake.Config{ServerName: serverName, Secret: sharedKey, Version: homeserver.Version{Major: 1, Minor: 135}})
		h := newHouse(t, func(c *Config) { c.Endpoint = old.URL.String() })
		h.wantFinding(t, func(d *doctor.Visit) { d.Version(t.Context()) }, false, "Synapse 1.135.0 is too old; 1.136.0", "upgrade")
		h.wantFinding(t, func(d *doctor.Visit) { d.OurCall(t.Context()) }, false, "not delegated", "synapse-config")
	})
}

// say writes the body of an answer.
func say(w io.Writer, text string) {
	_, _ = io.WriteString(w, text) // the test looks at what arrived
}
