package matrixauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// send has a server answer a request whose client can hang up.
func send(ctx context.Context, h *house.House, c house.Call) house.Answer {
	h.T.Helper()
	r := httptest.NewRequestWithContext(ctx, c.Method, "https://"+house.IssuerHost+c.Path, strings.NewReader(c.Body))
	for name, values := range c.Header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.Must(h.Current().ServeHTTP(w, r, house.Next{House: h}))
	return house.Answer{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
}

// moments are when a client can hang up while the homeserver is called.
var moments = []string{"before the call", "before its answer", "after its answer"}

// hangUp has a request's client hang up at a moment of the nth call to the homeserver, counted from 0, and gives the
// answer that nobody waits for, and the calls that were begun.
func hangUp(h *house.House, c house.Call, nth int, moment string) (a house.Answer, calls []string) {
	h.T.Helper()
	ctx, cancel := context.WithCancel(h.T.Context())
	defer cancel()
	at := func(when string) func(string) {
		return func(op string) {
			if when == moments[0] {
				calls = append(calls, op)
			}
			if when == moment && len(calls) == nth+1 {
				cancel()
			}
		}
	}
	h.Tap.Watch(at(moments[0]), at(moments[1]), at(moments[2]))
	defer h.Tap.Watch(nil, nil, nil)
	return send(ctx, h, c), calls
}

// wantGone checks what is said of a request whose client hung up: no fault of ours or of the homeserver's, neither in
// the log nor in the metrics, and no 4xx in case somebody in between still listens.
func wantGone(h *house.House, a house.Answer, mark int, before map[string]float64, route, metric string) {
	h.T.Helper()
	if a.Status != http.StatusServiceUnavailable {
		h.T.Errorf("got %d %s", a.Status, a.Body)
	}
	if lines := h.Logged(mark, `"request"`); len(lines) != 1 || lines[0]["route"] != route || lines[0]["level"] != "INFO" || lines[0]["code"] != "client_gone" {
		h.T.Errorf("the log says\n%s", h.Log.String()[mark:])
	}
	if text := h.Log.String()[mark:]; strings.Contains(text, `"WARN"`) || strings.Contains(text, `"ERROR"`) {
		h.T.Errorf("the log warns\n%s", text)
	}
	for name, value := range h.Metrics() {
		if rose := value - before[name]; strings.HasPrefix(name, metric+" ") && rose != map[bool]float64{true: 1}[name == metric+" client_gone"] {
			h.T.Errorf("%s rose by %v", name, rose)
		}
	}
}

// TestClientHangsUpAtLogin: whenever that is, either all of a login is there afterwards, or nothing: no device without
// a session, no session without a device (TOK-15, S1). Once the homeserver has done its part the session stands, and a
// client that tries again has it on the same device.
func TestClientHangsUpAtLogin(t *testing.T) {
	login := house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody("alice", house.AlicesPassword, house.Object{"device_id": "PHONE", "initial_device_display_name": "A phone", "refresh_token": true})}
	fresh := func(t *testing.T) *house.House {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		return h
	}
	_, calls := hangUp(fresh(t), login, -1, "")
	if want := []string{"query_user", "upsert_device", "update_device_display_name"}; !slices.Equal(calls, want) {
		t.Fatalf("a login calls %q, want %q", calls, want)
	}
	for n, op := range calls {
		for _, moment := range moments {
			t.Run(op+" "+moment, func(t *testing.T) {
				h := fresh(t)
				mark, before := len(h.Log.String()), h.Metrics()
				a, _ := hangUp(h, login, n, moment)
				done := n == len(calls)-1 && moment == moments[2]
				want := []string{}
				if done {
					want = []string{"PHONE"}
					h.SignedIn(a)
				} else {
					wantGone(h, a, mark, before, "login", "logins_total")
				}
				h.WantSessions("alice", want...)
				h.Settle()
				h.WantDevices("alice", want...)
				s := h.LoginOn("alice", "PHONE")
				if waiting := h.Waiting(); waiting != 0 {
					t.Errorf("%d jobs wait after the login", waiting)
				}
				h.WantActive(s.AccessToken, "PHONE")
				h.WantSessions("alice", "PHONE")
				h.Settle()
				h.WantDevices("alice", "PHONE")
			})
		}
	}
	t.Run("before it begins", func(t *testing.T) {
		h := fresh(t)
		mark, before := len(h.Log.String()), h.Metrics()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		rows := h.Rows()
		wantGone(h, send(ctx, h, login), mark, before, "login", "logins_total")
		if h.Rows() != rows {
			t.Error("something is kept")
		}
	})
}

// TestClientHangsUpAtExchange: the code keeps its worth until it has begun a session, and a session that it began lives
// on though its client never heard of it (TOK-15, TOK-12).
func TestClientHangsUpAtExchange(t *testing.T) {
	fresh := func(t *testing.T) (*house.House, string) {
		h := house.WithApp(t)
		return h, h.SignedInAs("alice").Consent(house.Params("app"))
	}
	exchange := func(code string) house.Call {
		return house.Call{Method: http.MethodPost, Path: house.TokenPath, Header: house.FormType, Body: house.Form(
			"grant_type", "authorization_code", "client_id", "app", "code", code, "redirect_uri", house.WebCallback, "code_verifier", house.Verifier)}
	}
	h, code := fresh(t)
	_, calls := hangUp(h, exchange(code), -1, "")
	if len(calls) < 2 || calls[1] != "upsert_device" {
		t.Fatalf("an exchange calls %q", calls)
	}
	for n, op := range calls {
		for _, moment := range moments {
			t.Run(op+" "+moment, func(t *testing.T) {
				h, code := fresh(t)
				mark, before := len(h.Log.String()), h.Metrics()
				a, _ := hangUp(h, exchange(code), n, moment)
				if n == len(calls)-1 && moment == moments[2] {
					tokens := h.Tokens(a)
					h.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
					h.Settle()
					h.WantActive(tokens.AccessToken, "PHONE")
					h.WantDevices("alice", "PHONE")
					return
				}
				wantGone(h, a, mark, before, "token", "logins_total")
				h.WantSessions("alice")
				h.Settle()
				h.WantDevices("alice")
				h.Clock.Move(-time.Hour) // what Settle let pass is not the code's
				tokens := h.Tokens(h.Exchange("app", code))
				h.WantActive(tokens.AccessToken, "PHONE")
			})
		}
	}
}

// TestClientHangsUpAtRefresh: a refresh that waits for the writer when its client hangs up changes nothing, and the same
// token works afterwards, on the next try and on later ones (REF-3, REF-8).
func TestClientHangsUpAtRefresh(t *testing.T) {
	for _, moment := range []string{"before it begins", "while it waits for the writer"} {
		t.Run(moment, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *machine) {
				s := newSynapse()
				s.Seed(fake.User{Localpart: "alice"})
				server := m.serve(s)
				server.Attach()
				started, tokens, err := server.Sessions().Start(t.Context(), session.Start{
					Kind: model.CompatSession, User: m.addUser("alice"), DeviceID: "PHONE", Scope: model.CompatScope(false), Refreshable: true,
				})
				m.must(err)
				time.Sleep(time.Hour)
				refresh := func(ctx context.Context, token string) *httptest.ResponseRecorder {
					w := httptest.NewRecorder()
					r := httptest.NewRequestWithContext(ctx, http.MethodPost, "https://"+house.IssuerHost+house.RefreshPath, strings.NewReader(house.JSON(house.Object{"refresh_token": token})))
					if err := server.ServeHTTP(w, r, nil); err != nil {
						t.Error(err)
					}
					return w
				}
				ctx, cancel := context.WithCancel(t.Context())
				release, written := make(chan struct{}), make(chan error)
				if moment == "before it begins" {
					cancel()
				} else {
					go func() {
						written <- m.store.Update(t.Context(), func(*store.Tx) error { <-release; return nil })
					}()
					synctest.Wait()
				}
				answered := make(chan *httptest.ResponseRecorder)
				go func() { answered <- refresh(ctx, tokens.Refresh) }()
				synctest.Wait()
				cancel()
				if moment != "before it begins" {
					close(release)
					m.must(<-written)
				}
				a := <-answered
				if a.Code != http.StatusServiceUnavailable {
					t.Errorf("got %d %s", a.Code, a.Body)
				}
				if lines := m.log.Lines(t, 0, `"request"`); len(lines) != 1 || lines[0]["level"] != "INFO" || lines[0]["code"] != "client_gone" {
					t.Errorf("the log says\n%s", m.log.String())
				}
				if found := m.session(started.ID); found.Generation != 0 {
					t.Errorf("generation %d was minted", found.Generation)
				}
				for i := range 3 {
					time.Sleep(48 * time.Hour)
					if again := refresh(t.Context(), tokens.Refresh); again.Code != http.StatusOK {
						t.Errorf("try %d: got %d %s", i, again.Code, again.Body)
					}
				}
			})
		})
	}
}

// TestBodyThatBreaksOff: a client that hangs up in the middle of its request is nobody's fault either: strangers can do
// it all day, and must not make the metrics say that refreshes fail (REF-8).
func TestBodyThatBreaksOff(t *testing.T) {
	h := house.New(t, house.Unlimited)
	for _, path := range []string{house.RefreshPath, house.LoginPath, house.TokenPath, house.RevokePath, house.RegistrationPath} {
		t.Run(path, func(t *testing.T) {
			mark, before := len(h.Log.String()), h.Metrics()
			r := httptest.NewRequest(http.MethodPost, "https://"+house.IssuerHost+path, brokenBody{})
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			h.Must(h.Current().ServeHTTP(w, r, house.Next{House: h}))
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if lines := h.Logged(mark, `"request"`); len(lines) != 1 || lines[0]["level"] != "INFO" || lines[0]["code"] != "client_gone" {
				t.Errorf("the log says\n%s", h.Log.String()[mark:])
			}
			for name, value := range h.Metrics() {
				if value != before[name] && !strings.HasSuffix(name, " client_gone") {
					t.Errorf("%s rose by %v", name, value-before[name])
				}
			}
		})
	}
}

// brokenBody is a body of which nothing more comes.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) {
	return 0, fmt.Errorf("the connection: %w", http.ErrBodyReadAfterClose)
}
