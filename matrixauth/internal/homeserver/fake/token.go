package fake

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// AskAt says where the homeserver asks about access tokens: the endpoint of its
// matrix_authentication_service section. Without one it can ask nobody.
func (s *Synapse) AskAt(endpoint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoint = strings.TrimSuffix(endpoint, "/")
}

const adminUsers = "/_synapse/admin/v2/users/"

// tokenAPI finds what serves a request of the APIs that take access tokens; nil for any other.
func (s *Synapse) tokenAPI(r *http.Request) func() result {
	switch {
	case r.URL.Path == "/_matrix/client/v3/devices" && r.Method == http.MethodGet:
		return func() result { return s.ownDevices(r) }
	case strings.HasPrefix(r.URL.Path, adminUsers):
		return func() result { return s.admin(r) }
	}
	return nil
}

func (s *Synapse) ownDevices(r *http.Request) result {
	who, res := s.requester(r)
	if res != nil {
		return *res
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return result{status: http.StatusOK, body: map[string]any{"devices": listDevices(s.users[who.localpart])}}
}

// requester is whose token a request bears.
type requester struct {
	localpart string
	scope     []string
}

const (
	oldAPIScope = "urn:matrix:org.matrix.msc2967.client:api:*"
	apiScope    = "urn:matrix:client:api:*"
)

var (
	notActive = result{status: http.StatusUnauthorized, body: map[string]any{"errcode": "M_UNKNOWN_TOKEN", "error": "Token is not active", "soft_logout": false}}
	noAnswer  = matrixError(http.StatusServiceUnavailable, "M_UNKNOWN", "Unable to introspect the access token")
)

// requester asks about a token as Synapse does, and checks the answer in its order. It remembers none.
func (s *Synapse) requester(r *http.Request) (requester, *result) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return requester{}, refused(http.StatusUnauthorized, "M_MISSING_TOKEN", "Missing access token")
	}
	found, ok := s.introspect(token)
	if !ok {
		return requester{}, &noAnswer
	}
	scope := strings.Fields(found.Scope)
	api := slices.Contains(scope, oldAPIScope) || s.modern() && slices.Contains(scope, apiScope)
	if !found.Active || found.ExpiresIn != nil && *found.ExpiresIn <= 0 || !api {
		return requester{}, &notActive
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[found.Username]
	if u == nil {
		return requester{}, refused(http.StatusInternalServerError, "M_FORBIDDEN", "User not found")
	}
	if utf8.RuneCountInString(found.DeviceID) > 255 {
		return requester{}, refused(http.StatusInternalServerError, "M_FORBIDDEN", "Invalid device ID in introspection result")
	}
	if _, exists := u.Devices[found.DeviceID]; found.DeviceID != "" && !exists {
		return requester{}, &notActive
	}
	return requester{localpart: found.Username, scope: scope}, nil
}

// introspection is what Synapse reads of an answer.
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope"`
	Username  string `json:"username"`
	DeviceID  string `json:"device_id"`
	ExpiresIn *int64 `json:"expires_in"`
}

func (s *Synapse) introspect(token string) (found introspection, ok bool) {
	s.mu.Lock()
	endpoint := s.endpoint
	s.mu.Unlock()
	if endpoint == "" {
		return found, false
	}
	body := url.Values{"token": {token}, "token_type_hint": {"access_token"}}.Encode()
	ask, err := http.NewRequest(http.MethodPost, endpoint+"/oauth2/introspect", strings.NewReader(body))
	if err != nil {
		return found, false
	}
	ask.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	ask.Header.Set("Authorization", "Bearer "+s.config.Secret)
	ask.Header.Set("X-MAS-Supports-Device-Id", "1")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(ask)
	if err != nil {
		return found, false
	}
	defer res.Body.Close()
	err = json.NewDecoder(res.Body).Decode(&found)
	return found, err == nil && res.StatusCode == http.StatusOK
}
