package homeserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
)

const secret = "s3cr3t-of-the-homeserver"

func start(t *testing.T, c fake.Config) *fake.Server {
	t.Helper()
	c.Secret = secret
	return fake.Start(t, c)
}

// want checks the error's reason, and that its text keeps the secret.
func want(t *testing.T, err error, reason homeserver.Reason) *homeserver.Error {
	t.Helper()
	var e *homeserver.Error
	if !errors.As(err, &e) || e.Reason != reason {
		t.Fatalf("error is %v; want one of reason %q", err, reason)
	}
	if strings.Contains(err.Error(), secret) {
		t.Fatalf("the secret is in the error %q", err)
	}
	return e
}

// TestReason tells apart what stands in the way, by answers that a homeserver, a proxy before it or
// something else on its port may give.
func TestReason(t *testing.T) {
	type answer struct {
		status int
		kind   string
		body   string
	}
	matrix := func(status int, errcode string) answer {
		return answer{status, "application/json", `{"errcode":"` + errcode + `","error":"words about ` + secret + `"}`}
	}
	for name, c := range map[string]struct {
		answer
		reason    homeserver.Reason
		retryable bool
	}{
		"internal_error":               {matrix(500, "M_UNKNOWN"), homeserver.Down, true},
		"bad_gateway":                  {answer{502, "text/html", "<html>"}, homeserver.Down, true},
		"unavailable":                  {matrix(503, "M_UNKNOWN"), homeserver.Down, true},
		"rate_limit":                   {matrix(429, "M_LIMIT_EXCEEDED"), homeserver.Down, true},
		"request_time_out":             {matrix(408, "M_UNKNOWN"), homeserver.Down, true},
		"redirect":                     {answer{302, "text/html", ""}, homeserver.Down, true},
		"page_instead_of_json":         {answer{200, "text/html", "<html>"}, homeserver.Down, true},
		"page_that_says_it_is_json":    {answer{200, "application/json", "<html>"}, homeserver.Down, true},
		"null_instead_of_object":       {answer{200, "application/json", "null"}, homeserver.Down, true},
		"success_of_another_kind":      {answer{204, "application/json", ""}, homeserver.Down, true},
		"too_much":                     {answer{200, "application/json", `{"a":"` + strings.Repeat("x", 1<<20) + `"}`}, homeserver.Down, true},
		"refused_by_a_proxy":           {answer{400, "text/html", "<html>"}, homeserver.Down, true},
		"wrong_secret":                 {matrix(403, "M_UNKNOWN"), homeserver.RefusedSecret, true},
		"no_secret":                    {matrix(401, "M_MISSING_TOKEN"), homeserver.RefusedSecret, true},
		"forbidden_by_a_proxy":         {answer{403, "text/html", "<html>"}, homeserver.RefusedSecret, true},
		"forbidden_by_a_module":        {matrix(403, "M_FORBIDDEN"), homeserver.Rejected, false},
		"no_such_api":                  {matrix(404, "M_UNRECOGNIZED"), homeserver.TooOld, true},
		"no_such_method":               {matrix(405, "M_UNRECOGNIZED"), homeserver.TooOld, true},
		"no_such_call":                 {answer{404, "text/html; charset=utf-8", "<html>"}, homeserver.TooOld, true},
		"nobody":                       {matrix(404, "M_NOT_FOUND"), homeserver.UnknownUser, false},
		"bad_request":                  {matrix(400, "M_INVALID_USERNAME"), homeserver.Rejected, false},
		"too_large":                    {matrix(413, "M_TOO_LARGE"), homeserver.Rejected, false},
		"error_of_another_shape":       {answer{400, "application/json", `{"errcode":3}`}, homeserver.Down, true},
		"error_with_broken_characters": {answer{400, "application/json", "{\"errcode\":\"M_X\",\"error\":\"a\\nb\\u001b\xff\"}"}, homeserver.Rejected, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, fake.Config{})
			s.Intercept(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				if c.status != http.StatusNoContent {
					_, _ = io.WriteString(w, c.body)
				}
			})
			e := want(t, s.Client().SetDisplayName(t.Context(), "alice", "Alice"), c.reason)
			if e.Retryable() != c.retryable || e.Status != c.status || e.Op != "set_displayname" {
				t.Errorf("%+v, retryable %v; want status %d, retryable %v", e, e.Retryable(), c.status, c.retryable)
			}
			if strings.ContainsAny(e.Error(), "\n\x1b") {
				t.Errorf("control characters in %q", e)
			}
			if calls := s.Calls(); len(calls) != 0 {
				t.Errorf("calls beyond the first: %v", calls)
			}
		})
	}
}

// TestNoAnswer is about connections that give none.
func TestNoAnswer(t *testing.T) {
	t.Run("refused_then_back", func(t *testing.T) {
		s := start(t, fake.Config{})
		s.Seed(fake.User{Localpart: "alice"})
		s.Stop()
		e := want(t, s.Client().DeleteDevice(t.Context(), "alice", "DEV"), homeserver.Down)
		if !e.Retryable() || e.Status != 0 || !errors.Is(e, syscall.ECONNREFUSED) {
			t.Errorf("error is %#v", e)
		}
		_, err := s.Client().Version(t.Context())
		want(t, err, homeserver.Down)
		s.Resume()
		if err := s.Client().DeleteDevice(t.Context(), "alice", "DEV"); err != nil {
			t.Errorf("after Resume: %v", err)
		}
	})
	t.Run("closed_without_answer", func(t *testing.T) {
		s := start(t, fake.Config{})
		s.Abort()
		want(t, s.Client().DeleteUser(t.Context(), "alice", false), homeserver.Down)
	})
	t.Run("answer_lost_after_the_work", func(t *testing.T) {
		s := start(t, fake.Config{})
		s.LoseAnswers(1)
		_, err := s.Client().ProvisionUser(t.Context(), homeserver.ProvisionUser{Localpart: "alice"})
		want(t, err, homeserver.Down)
		created, err := s.Client().ProvisionUser(t.Context(), homeserver.ProvisionUser{Localpart: "alice"})
		if err != nil || created {
			t.Errorf("again: %v, %v; want an existing user", created, err)
		}
	})
	t.Run("answer_cut_short", func(t *testing.T) {
		s := start(t, fake.Config{})
		s.Intercept(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{}")
		})
		want(t, s.Client().UnsetDisplayName(t.Context(), "alice"), homeserver.Down)
	})
	t.Run("time_out", func(t *testing.T) {
		s := start(t, fake.Config{})
		gate := s.Hold()
		defer gate.Release()
		client := homeserver.New(homeserver.Config{Endpoint: s.URL, Secret: secret, ServerName: "example.test", HTTP: s.HTTP(), Timeout: time.Millisecond})
		e := want(t, client.ReactivateUser(t.Context(), "alice"), homeserver.Down)
		if !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("error is %v; want a time-out", e)
		}
	})
	t.Run("given_up_by_the_caller", func(t *testing.T) {
		s := start(t, fake.Config{})
		gate := s.Hold("reactivate_user")
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- s.Client().ReactivateUser(ctx, "alice") }()
		<-gate.Arrived
		cancel()
		if e := want(t, <-result, homeserver.Down); !errors.Is(e, context.Canceled) {
			t.Errorf("error is %v; want the caller's own", e)
		}
		gate.Release()
		if calls := s.Calls(); len(calls) != 0 {
			t.Errorf("done all the same: %v", calls)
		}
	})
}

// TestSecret is about where the secret goes.
func TestSecret(t *testing.T) {
	t.Run("not_behind_a_redirect", func(t *testing.T) {
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
		defer elsewhere.Close()
		s := start(t, fake.Config{})
		s.Intercept(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		})
		e := want(t, s.Client().DeleteDevice(t.Context(), "alice", "DEV"), homeserver.Down)
		if !strings.Contains(e.Error(), "redirect") {
			t.Errorf("the error %q says nothing of the redirect", e)
		}
		// What follows redirects by its own policy does not do so here.
		own := &http.Client{Transport: s.HTTP().Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
		client := homeserver.New(homeserver.Config{Endpoint: s.URL, Secret: secret, ServerName: "example.test", HTTP: own})
		want(t, client.DeleteDevice(t.Context(), "alice", "DEV"), homeserver.Down)
	})
	t.Run("not_with_the_version", func(t *testing.T) {
		s := start(t, fake.Config{})
		s.Intercept(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != "" {
				t.Errorf("Authorization: %q", got)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"server_version":"1.140.0"}`)
		})
		if _, err := s.Client().Version(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("not_in_errors_of_the_endpoint", func(t *testing.T) {
		endpoint := &url.URL{Scheme: "http", Host: "127.0.0.1:1", User: url.UserPassword("user", secret)}
		client := homeserver.New(homeserver.Config{Endpoint: endpoint, Secret: secret, ServerName: "example.test", HTTP: &http.Client{Transport: &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") },
		}}})
		want(t, client.DeleteDevice(t.Context(), "alice", "DEV"), homeserver.Down)
	})
}

// TestServerName is SYN-24.
func TestServerName(t *testing.T) {
	for name, c := range map[string]struct {
		userID string
		reason homeserver.Reason
	}{
		"another":             {"@alice:other.test", homeserver.OtherServerName},
		"longer":              {"@alice:example.test.other", homeserver.OtherServerName},
		"with_a_port":         {"@alice:example.test:8448", homeserver.OtherServerName},
		"in_other_case":       {"@alice:Example.test", homeserver.OtherServerName},
		"none":                {"alice", homeserver.OtherServerName},
		"an_incomplete_reply": {"", homeserver.Down},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, fake.Config{})
			s.Intercept(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if c.userID == "" {
					_, _ = io.WriteString(w, `{"display_name":null}`)
					return
				}
				_, _ = io.WriteString(w, `{"user_id":"`+c.userID+`","display_name":null,"avatar_url":null,"is_suspended":false,"is_deactivated":false}`)
			})
			_, err := s.Client().QueryUser(t.Context(), "alice")
			if e := want(t, err, c.reason); !e.Retryable() {
				t.Error("not retryable, although the owner can cure it")
			}
		})
	}
}

// TestProvisionUser/body: only what changes is sent (SYN-11, SYN-13).
func TestProvisionUser(t *testing.T) {
	text, yes := "Alice", true
	for name, c := range map[string]struct {
		call homeserver.ProvisionUser
		want map[string]any
	}{
		"nothing":     {homeserver.ProvisionUser{Localpart: "alice"}, map[string]any{"localpart": "alice"}},
		"name":        {homeserver.ProvisionUser{Localpart: "alice", DisplayName: &text}, map[string]any{"localpart": "alice", "set_displayname": "Alice"}},
		"emails":      {homeserver.ProvisionUser{Localpart: "alice", Emails: &[]string{"a@b"}}, map[string]any{"localpart": "alice", "set_emails": []any{"a@b"}}},
		"no_email":    {homeserver.ProvisionUser{Localpart: "alice", Emails: new([]string)}, map[string]any{"localpart": "alice", "set_emails": []any{}}},
		"locked":      {homeserver.ProvisionUser{Localpart: "alice", Locked: &yes}, map[string]any{"localpart": "alice", "locked": true}},
		"not_escaped": {homeserver.ProvisionUser{Localpart: "a<b>&\u2028"}, map[string]any{"localpart": "a<b>&\u2028"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, fake.Config{})
			_, err := s.Client().ProvisionUser(t.Context(), c.call)
			if err != nil && name != "not_escaped" {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.Calls()[0].Body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBrokenID: an id that JSON would change must not become another one.
func TestBrokenID(t *testing.T) {
	s := start(t, fake.Config{})
	s.Seed(fake.User{Localpart: "alice\ufffd"})
	ctx, c, bad := t.Context(), s.Client(), "alice\xff"
	_, query := c.QueryUser(ctx, bad)
	_, provision := c.ProvisionUser(ctx, homeserver.ProvisionUser{Localpart: bad})
	_, upsert := c.UpsertDevice(ctx, "alice", bad, "")
	for name, err := range map[string]error{
		"query": query, "provision": provision, "upsert": upsert, "available": c.LocalpartAvailable(ctx, bad), "delete": c.DeleteUser(ctx, bad, false),
		"delete_device": c.DeleteDevice(ctx, "alice", bad), "update": c.UpdateDeviceDisplayName(ctx, "alice", bad, "n"),
	} {
		t.Run(name, func(t *testing.T) { want(t, err, homeserver.Rejected) })
	}
	if calls := s.Calls(); len(calls) != 0 {
		t.Errorf("calls: %v", calls)
	}
}

// TestIdleConnection: a connection that the homeserver closed while it was idle costs no error.
func TestIdleConnection(t *testing.T) {
	s := start(t, fake.Config{})
	s.Seed(fake.User{Localpart: "alice"})
	c := s.Client()
	for i := range 20 {
		if _, err := c.UpsertDevice(t.Context(), "alice", "DEV", ""); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		s.CloseIdle()
	}
}

// TestEndpointPath: a path in the endpoint stays.
func TestEndpointPath(t *testing.T) {
	s := start(t, fake.Config{})
	var got []string
	s.Intercept(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.RequestURI())
		w.WriteHeader(http.StatusBadGateway)
	})
	for _, path := range []string{"", "/", "/synapse", "/synapse/"} {
		c := homeserver.New(homeserver.Config{Endpoint: s.URL.JoinPath(path), Secret: secret, ServerName: "example.test", HTTP: s.HTTP()})
		want(t, c.LocalpartAvailable(t.Context(), "a/b+c&d"), homeserver.Down)
	}
	const call = "/_synapse/mas/is_localpart_available?localpart=a%2Fb%2Bc%26d"
	if diff := cmp.Diff([]string{call, call, "/synapse" + call, "/synapse" + call}, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}
