package matrixauth_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// signOuts are the ways in which people end sessions of their apps, the one of alice's device PHONE among them.
var signOuts = map[string]func(h *house.House, phone house.Tokens) house.Answer{
	"logout":                        func(h *house.House, phone house.Tokens) house.Answer { return h.Logout(phone.AccessToken) },
	"logout of all":                 func(h *house.House, phone house.Tokens) house.Answer { return h.LogoutAll(phone.AccessToken) },
	"revocation of an access token": func(h *house.House, phone house.Tokens) house.Answer { return revoke(h, phone.AccessToken) },
	"revocation of a refresh token": func(h *house.House, phone house.Tokens) house.Answer { return revoke(h, phone.RefreshToken) },
	"the account page": func(h *house.House, _ house.Tokens) house.Answer {
		id := ""
		for _, s := range house.Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: "alice"}).Sessions {
			if s.DeviceID == "PHONE" {
				id = s.ID
			}
		}
		return h.SignedInAs("alice").Submit("/account/sessions/end", "session", id)
	},
	"the account page, all": func(h *house.House, _ house.Tokens) house.Answer {
		return h.SignedInAs("alice").Submit("/account/sessions/end-others", "what", "apps")
	},
}

func revoke(h *house.House, token string) house.Answer {
	return h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: house.FormType, Body: house.Form("token", token)})
}

// TestSignOutIsComplete: once somebody is told that they signed out, the homeserver has deleted the device, as it may
// honour a token from memory for two minutes until then (REV-9). If it does not answer, they are told so all the same,
// and it is done later.
func TestSignOutIsComplete(t *testing.T) {
	for name, end := range signOuts {
		t.Run(name, func(t *testing.T) {
			h := house.WithApp(t)
			h.WantDevices("alice")
			wantDone(t, end(h, h.OauthSession("alice", "app", "PHONE")))
			h.WantDevices("alice") // no job was run but by the request itself
			h.WantSessions("alice")
		})
		t.Run(name+", with a homeserver that is down", func(t *testing.T) {
			h := house.WithApp(t)
			phone := h.OauthSession("alice", "app", "PHONE")
			h.Fake.Stop()
			mark := len(h.Log.String())
			wantDone(t, end(h, phone))
			h.WantInactive(phone.AccessToken)
			h.WantSessions("alice")
			line := h.LineWith(mark, "a logout did not wait for its device's deletion")
			house.WantFields(t, line, map[string]any{"level": "INFO", "user": "@alice:" + house.ServerName, "user_id": h.UserID("alice")})
			if line["error"] == nil {
				t.Error("the line does not say why")
			}
			h.Fake.Resume()
			h.WantDevices("alice", "PHONE")
			h.Settle()
			h.WantDevices("alice")
		})
	}
}

func wantDone(t *testing.T, a house.Answer) {
	t.Helper()
	if a.Status != http.StatusOK && a.Status != http.StatusSeeOther {
		t.Fatalf("got %d %s", a.Status, a.Body)
	}
}

// TestSignOutWaitsShortly: a homeserver that is slow holds up a sign-out for two seconds at most.
func TestSignOutWaitsShortly(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		s := newSynapse()
		s.Seed(fake.User{Localpart: "alice"})
		server := m.serve(s)
		server.Attach()
		u := m.addUser("alice")
		for name, request := range map[string]struct{ path, token string }{"logout": {house.LogoutPath, ""}, "revocation": {house.RevokePath, "token"}} {
			started, tokens, err := server.Sessions().Start(t.Context(), session.Start{
				Kind: model.CompatSession, User: u, DeviceID: "PHONE", Scope: model.CompatScope(false), Refreshable: true,
			})
			m.must(err)
			gate := s.Hold("delete_device")
			body := ""
			if request.token != "" {
				body = house.Form(request.token, tokens.Access)
			}
			r := httptest.NewRequest(http.MethodPost, "https://"+house.IssuerHost+request.path, strings.NewReader(body))
			r.Header = http.Header{"Authorization": {"Bearer " + tokens.Access}}
			if request.token != "" {
				r.Header = maps.Clone(house.FormType)
			}
			began, w := time.Now(), httptest.NewRecorder()
			m.must(server.ServeHTTP(w, r, nil))
			if took := time.Since(began); w.Code != http.StatusOK || took != 2*time.Second {
				t.Errorf("%s: got %d %s after %s", name, w.Code, w.Body, took)
			}
			if !m.session(started.ID).Ended() || !slices.Equal(s.Devices("alice"), []string{"PHONE"}) {
				t.Errorf("%s: the session has not ended, or the device %q is gone already", name, s.Devices("alice"))
			}
			gate.Release()
			end := m.running()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if left := s.Devices("alice"); len(left) > 0 {
				t.Errorf("%s: the devices %q are still there", name, left)
			}
			end()
		}
	})
}
