package model

import (
	"slices"
	"strings"
	"testing"
)

// TestScopeCatalogue holds what no row may be without.
func TestScopeCatalogue(t *testing.T) {
	spellings := map[string]bool{}
	for _, s := range Scopes {
		for _, token := range append([]string{s.Token}, s.Aliases...) {
			if spellings[token] {
				t.Errorf("%s is there twice", token)
			}
			spellings[token] = true
			value := ""
			if s.Device {
				value = "PHONE"
			}
			if found, got, ok := FindScope(token + value); !ok || found != s || got != value {
				t.Errorf("%s is found as %v, %q", token+value, found, got)
			}
			// Whatever the spelling: the same is had, remembered and administered (SCOPE-3).
			if !HasScope(token+value, s.Token+value) || !HasScope(s.Token+value, token+value) || Administers(token+value) != s.Admin || Rememberable(token+value) != s.Remembered {
				t.Errorf("%s does not mean the same as %s", token+value, s.Token)
			}
			if remembered := RememberedScope(token + value); remembered != s.Token && !s.Device || s.Device && remembered != "" {
				t.Errorf("%s is remembered as %q", token, remembered)
			}
			if told := slices.Contains(SupportedScopes(), token); told == s.Device {
				t.Errorf("%s is in the metadata: %v", token, told)
			}
			for _, as := range strings.Fields(s.introspected) {
				if other, _, ok := FindScope(as); !ok || other != s {
					t.Errorf("the homeserver is told of %s as %s", token, as)
				}
			}
		}
		if s.Text == "" && !s.Device {
			t.Errorf("the consent page says nothing of %s", s.Token)
		}
		if s.Admin && s.Remembered {
			t.Errorf("%s is granted without a question (SCOPE-13)", s.Token)
		}
	}
	if len(SupportedScopes()) != 3 {
		t.Errorf("the metadata tells of %v", SupportedScopes())
	}
}

func TestScopesIn(t *testing.T) {
	for scope, want := range map[string][]*Scope{
		"": nil, "openid": nil, ScopeAPI: {scopeAPI},
		ScopeSynapseAdmin + " " + ScopeAPIUnstable + " " + ScopeAPI + " " + ScopeDevicePrefix + "X": {scopeAPI, scopeDevice, scopeAdmin},
	} {
		if got := ScopesIn(scope); !slices.Equal(got, want) {
			t.Errorf("%q: got %v", scope, got)
		}
	}
	old := ScopeAPIUnstable + " " + ScopeDevicePrefixUnstable + "X other " + ScopeAPI
	if got := RememberedScope(old); got != ScopeAPI+" other" {
		t.Errorf("remembered as %q", got)
	}
}

// TestIntrospectedScopeAllocates: of a usual session nothing is built, as the homeserver asks at each request.
func TestIntrospectedScopeAllocates(t *testing.T) {
	for _, scope := range []string{CompatScope(false), CompatScope(true), ScopeAPI + " " + ScopeDevicePrefix + "PHONE", ScopeAPIUnstable + " " + ScopeDevicePrefixUnstable + "PHONE " + ScopeSynapseAdmin} {
		if n := testing.AllocsPerRun(100, func() { IntrospectedScope(scope) }); n != 0 {
			t.Errorf("%q: %v allocations", scope, n)
		}
	}
}
