package client

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// wantRules holds registered metadata against the rules, told in another way than the code under test
// tells them: by a parser, and from the end.
func wantRules(t *testing.T, m model.ClientMetadata) {
	t.Helper()
	homeURI := wantWebURI(t, m.URI)
	base := strings.TrimSuffix(strings.ToLower(homeURI.Hostname()), ".")
	below := func(uri string) {
		t.Helper()
		host := strings.TrimSuffix(strings.ToLower(wantWebURI(t, uri).Hostname()), ".")
		if host != base && !strings.HasSuffix(host, "."+base) {
			t.Errorf("%q is not below %q", uri, m.URI)
		}
	}
	for _, page := range []string{m.LogoURI, m.TOSURI, m.PolicyURI} {
		if page != "" {
			below(page)
		}
	}
	for name, value := range m.Localized {
		if strings.HasPrefix(name, "client_name#") {
			wantShown(t, value)
			continue
		}
		below(value)
	}
	wantShown(t, m.Name)
	for _, uri := range m.RedirectURIs {
		if strings.Contains(uri, "#") {
			t.Errorf("%q has a fragment", uri)
		}
		if m.ApplicationType == model.WebApplication || strings.HasPrefix(uri, "https:") {
			below(uri)
			continue
		}
		wantNativeURI(t, uri, base)
	}
	if slices.Contains(m.GrantTypes, model.GrantCode) && (len(m.RedirectURIs) == 0 || !slices.Equal(m.ResponseTypes, []string{"code"})) {
		t.Errorf("%+v cannot be used", m)
	}
}

func wantWebURI(t *testing.T, uri string) *url.URL {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" || u.User != nil || !strings.Contains(u.Hostname(), ".") || strings.ContainsAny(uri, " \\\t\r\n\x00") {
		t.Fatalf("%q is no https address: %v", uri, err)
	}
	return u
}

func wantNativeURI(t *testing.T, uri, base string) {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil || u.User != nil || u.Fragment != "" {
		t.Fatalf("%q: %v", uri, err)
	}
	if u.Scheme == "http" {
		if !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()) {
			t.Errorf("%q is not on loopback", uri)
		}
		return
	}
	labels := strings.Split(base, ".")
	slices.Reverse(labels)
	if prefix := strings.Join(labels, "."); u.Scheme != prefix && !strings.HasPrefix(u.Scheme, prefix+".") {
		t.Errorf("%q is not of %q", uri, base)
	}
	if u.Host != "" {
		t.Errorf("%q has a host", uri)
	}
}

func wantShown(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			t.Errorf("%q is shown", text)
		}
	}
}
