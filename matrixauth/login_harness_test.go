package matrixauth

import (
	"encoding/json"
	"net/http"
	"slices"
)

// signedIn is the body of a successful login or refresh.
type signedIn struct {
	UserID       string `json:"user_id"`
	AccessToken  string `json:"access_token"`
	DeviceID     string `json:"device_id"`
	RefreshToken string `json:"refresh_token"`
	ExpiresInMS  int64  `json:"expires_in_ms"`
}

const (
	loginPath     = "/_matrix/client/v3/login"
	logoutPath    = "/_matrix/client/v3/logout"
	logoutAllPath = "/_matrix/client/v3/logout/all"
	refreshPath   = "/_matrix/client/v3/refresh"
)

type object = map[string]any

// loginBody is a login by user name and password, with more members on top; a nil removes one.
func loginBody(user, clear string, more object) string {
	body := object{"type": "m.login.password", "identifier": object{"type": "m.id.user", "user": user}, "password": clear}
	for name, value := range more {
		if value == nil {
			delete(body, name)
			continue
		}
		body[name] = value
	}
	return text(body)
}

func text(value any) string {
	out, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// tryLogin logs in with the right password.
func (h *house) tryLogin(user string, more object) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: loginPath, body: loginBody(user, alicesPassword, more)})
}

func (h *house) login(user string, more object) signedIn {
	h.t.Helper()
	return h.signedIn(h.tryLogin(user, more))
}

// loginOn logs in on a device.
func (h *house) loginOn(user, device string) signedIn {
	h.t.Helper()
	return h.login(user, object{"device_id": device})
}

func (h *house) signedIn(a answer) (s signedIn) {
	h.t.Helper()
	a.want(h.t, http.StatusOK, "")
	h.must(json.Unmarshal([]byte(a.body), &s))
	h.keep(s)
	return s
}

// keep remembers tokens that the log must not show.
func (h *house) keep(s signedIn) {
	h.secretsMu.Lock()
	defer h.secretsMu.Unlock()
	for _, token := range []string{s.AccessToken, s.RefreshToken} {
		if token != "" {
			h.secrets = append(h.secrets, token)
		}
	}
}

func (h *house) refresh(token string) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: refreshPath, body: text(object{"refresh_token": token})})
}

func (h *house) logout(token string) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: logoutPath, bearer: token})
}

func (h *house) logoutAll(token string) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: logoutAllPath, bearer: token})
}

// introspect asks as Synapse does (SYN-3, SYN-23).
func (h *house) introspect(token string) answer {
	h.t.Helper()
	return h.do(call{
		method: http.MethodPost, path: "/oauth2/introspect", inside: true, bearer: sharedKey,
		body: form("token", token, "token_type_hint", "access_token"),
		header: http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "X-Mas-Supports-Device-Id": {"1"},
			"Accept": {"application/json"}, "User-Agent": {"Synapse/1.163.2"},
		},
	})
}

const inactive = `{"active":false}`

// wantActive checks that the homeserver would honour a token, and on which device.
func (h *house) wantActive(token, device string) {
	h.t.Helper()
	a := h.introspect(token)
	if d := a.document(h.t); a.status != http.StatusOK || d["active"] != true || d["device_id"] != device {
		h.t.Fatalf("got %d %s, want an active token of device %s", a.status, a.body, device)
	}
}

func (h *house) wantInactive(token string) {
	h.t.Helper()
	if a := h.introspect(token); a.status != http.StatusOK || a.body != inactive {
		h.t.Fatalf("got %d %s, want an inactive token", a.status, a.body)
	}
}

// liveDevices are the devices of a user's live sessions, sorted.
func (h *house) liveDevices(localpart string) []string {
	h.t.Helper()
	devices := []string{}
	for _, s := range act(h, ListSessions, SessionsAsked{User: localpart}).Sessions {
		if s.Kind != BrowserKind {
			devices = append(devices, s.DeviceID)
		}
	}
	slices.Sort(devices)
	return devices
}

func (h *house) wantSessions(localpart string, want ...string) {
	h.t.Helper()
	slices.Sort(want)
	if got := h.liveDevices(localpart); !slices.Equal(got, want) {
		h.t.Fatalf("live sessions of %s are on %q, want %q", localpart, got, want)
	}
}

// issue starts a session as an operator does, for tests that need one more.
func (h *house) issue(localpart, device string) IssuedToken {
	h.t.Helper()
	issued := act(h, IssueToken, NewToken{Name: Name{User: localpart}, DeviceID: device})
	h.keep(signedIn{AccessToken: issued.Token})
	return issued
}
