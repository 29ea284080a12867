package session

import (
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestRefreshScope: a client may ask for less than it was granted, in the spelling that it likes (SCOPE-3, SCOPE-14).
func TestRefreshScope(t *testing.T) {
	s := newServed(t, nil)
	p := s.asked("D")
	p.Kind, p.ClientID, p.Scope = model.OAuthSession, "app", model.ScopeAPI+" "+model.ScopeSynapseAdmin
	session, tokens, err := s.sessions.Start(t.Context(), p)
	s.must(err)
	refresh := func(clientID, scope string) (Tokens, error) {
		return s.sessions.Refresh(t.Context(), Refresh{Kind: model.OAuthSession, Token: tokens.Refresh, ClientID: clientID, Scope: scope, Source: source})
	}
	for asked, want := range map[string]string{
		"":                                    p.Scope,
		model.ScopeAPI:                        model.ScopeAPI,
		"openid " + model.ScopeAPI:            model.ScopeAPI, // SCOPE-8
		model.ScopeAPI + " openid":            model.ScopeAPI,
		model.ScopeAPI + " " + model.ScopeAPI: model.ScopeAPI,
		model.ScopeAPIUnstable:                model.ScopeAPIUnstable,
		model.ScopeSynapseAdmin + " " + model.ScopeAPI: model.ScopeSynapseAdmin + " " + model.ScopeAPI,
		"openid": p.Scope,
	} {
		got, err := refresh("app", asked)
		if err != nil || got.Scope != want {
			t.Errorf("asked for %q: got %q, %v; want %q", asked, got.Scope, err, want)
			continue
		}
		if found, err := s.sessions.Peek(got.Access); err != nil || found.Scope != want {
			t.Errorf("asked for %q: the token grants %q, %v", asked, found.Scope, err)
		}
	}
	_, err = refresh("app", model.ScopeAPI+" "+model.ScopeDevicePrefix+"OTHER")
	wantCode(t, err, model.InvalidScope)
	_, err = refresh("other", "") // nobody can spoil the session of another client (REF-1)
	wantCode(t, err, model.RefreshRefused)
	if !s.live(session.ID) {
		t.Error("the session ended")
	}
}
