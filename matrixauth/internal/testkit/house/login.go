package house

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// SignedIn is the body of a successful login or refresh.
type SignedIn struct {
	UserID       string `json:"user_id"`
	AccessToken  string `json:"access_token"`
	DeviceID     string `json:"device_id"`
	RefreshToken string `json:"refresh_token"`
	ExpiresInMS  int64  `json:"expires_in_ms"`
}

const (
	// LoginPath is that of a login in the legacy API.
	LoginPath = "/_matrix/client/v3/login"
	// LogoutPath is that of a logout there.
	LogoutPath    = "/_matrix/client/v3/logout"
	logoutAllPath = "/_matrix/client/v3/logout/all"
	// RefreshPath is that of a refresh there.
	RefreshPath = "/_matrix/client/v3/refresh"
)

// Object is an object of JSON to be sent.
type Object = map[string]any

// LoginBody is a login by user name and password, with more members on top; a nil removes one.
func LoginBody(user, clear string, more Object) string {
	body := Object{"type": "m.login.password", "identifier": Object{"type": "m.id.user", "user": user}, "password": clear}
	for name, value := range more {
		if value == nil {
			delete(body, name)
			continue
		}
		body[name] = value
	}
	return JSON(body)
}

// JSON returns a value as JSON.
func JSON(value any) string {
	out, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// TryLogin logs in with the right password.
func (h *House) TryLogin(user string, more Object) Answer {
	h.T.Helper()
	return h.Do(Call{Method: http.MethodPost, Path: LoginPath, Body: LoginBody(user, AlicesPassword, more)})
}

// Login logs in with the right password, which must succeed.
func (h *House) Login(user string, more Object) SignedIn {
	h.T.Helper()
	return h.SignedIn(h.TryLogin(user, more))
}

// LoginOn logs in on a device.
func (h *House) LoginOn(user, device string) SignedIn {
	h.T.Helper()
	return h.Login(user, Object{"device_id": device})
}

// SignedIn reads the answer of a login or refresh that must have succeeded. Its tokens must not show in the log.
func (h *House) SignedIn(a Answer) (s SignedIn) {
	h.T.Helper()
	a.Want(h.T, http.StatusOK, "")
	h.Must(json.Unmarshal([]byte(a.Body), &s))
	h.Keep(s)
	return s
}

// Keep remembers tokens that the log must not show.
func (h *House) Keep(s SignedIn) {
	h.secretsMu.Lock()
	defer h.secretsMu.Unlock()
	for _, token := range []string{s.AccessToken, s.RefreshToken} {
		if token != "" {
			h.secrets = append(h.secrets, token)
		}
	}
}

// Refresh refreshes by the legacy API.
func (h *House) Refresh(token string) Answer {
	h.T.Helper()
	return h.Do(Call{Method: http.MethodPost, Path: RefreshPath, Body: JSON(Object{"refresh_token": token})})
}

// Logout ends the session of an access token.
func (h *House) Logout(token string) Answer {
	h.T.Helper()
	return h.Do(Call{Method: http.MethodPost, Path: LogoutPath, Bearer: token})
}

// LogoutAll ends all sessions of the user of an access token.
func (h *House) LogoutAll(token string) Answer {
	h.T.Helper()
	return h.Do(Call{Method: http.MethodPost, Path: logoutAllPath, Bearer: token})
}

// Introspect asks as Synapse does (SYN-3, SYN-23).
func (h *House) Introspect(token string) Answer {
	h.T.Helper()
	return h.Do(Call{
		Method: http.MethodPost, Path: "/oauth2/introspect", Inside: true, Bearer: SharedKey,
		Body: Form("token", token, "token_type_hint", "access_token"),
		Header: http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "X-Mas-Supports-Device-Id": {"1"},
			"Accept": {"application/json"}, "User-Agent": {"Synapse/1.163.2"},
		},
	})
}

// Inactive is what introspection says of every token that is not active.
const Inactive = `{"active":false}`

// WantActive checks that the homeserver would honour a token, and on which device.
func (h *House) WantActive(token, device string) {
	h.T.Helper()
	a := h.Introspect(token)
	if d := a.Document(h.T); a.Status != http.StatusOK || d["active"] != true || d["device_id"] != device {
		h.T.Fatalf("got %d %s, want an active token of device %s", a.Status, a.Body, device)
	}
}

// WantInactive checks that the homeserver would not honour a token.
func (h *House) WantInactive(token string) {
	h.T.Helper()
	if a := h.Introspect(token); a.Status != http.StatusOK || a.Body != Inactive {
		h.T.Fatalf("got %d %s, want an inactive token", a.Status, a.Body)
	}
}

// LiveDevices are the devices of a user's live sessions, sorted.
func (h *House) LiveDevices(localpart string) []string {
	h.T.Helper()
	devices := []string{}
	for _, s := range Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: localpart}).Sessions {
		if s.Kind != matrixauth.BrowserKind {
			devices = append(devices, s.DeviceID)
		}
	}
	slices.Sort(devices)
	return devices
}

// WantSessions checks on which devices a user has live sessions.
func (h *House) WantSessions(localpart string, want ...string) {
	h.T.Helper()
	slices.Sort(want)
	if got := h.LiveDevices(localpart); !slices.Equal(got, want) {
		h.T.Fatalf("live sessions of %s are on %q, want %q", localpart, got, want)
	}
}

// Issue starts a session as an operator does, for tests that need one more.
func (h *House) Issue(localpart, device string) matrixauth.IssuedToken {
	h.T.Helper()
	issued := Act(h, matrixauth.IssueToken, matrixauth.NewToken{Name: matrixauth.Name{User: localpart}, DeviceID: device})
	h.Keep(SignedIn{AccessToken: issued.Token})
	return issued
}
