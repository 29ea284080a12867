package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

func TestCheckID(t *testing.T) { // REG-28
	for id, good := range map[string]bool{
		"element": true, "A.b_c~d-9": true, strings.Repeat("a", 255): true,
		"": false, strings.Repeat("a", 256): false, "a b": false, "a/b": false, "a:b": false, "a+b": false, "a%62": false, "ä": false, "a\n": false,
	} {
		if problem := CheckID(id); (problem == "") != good {
			t.Errorf("%q: %q", id, problem)
		}
	}
}

func TestCheckURI(t *testing.T) {
	for uri, want := range map[string]string{
		"https://example.com":             "",
		"https://example.com/a?b":         "",
		"https://127.0.0.1":               "",
		"http://localhost":                "",
		"http://127.0.0.1:8080/":          "",
		"http://[::1]:8080":               "",
		"http://example.com":              notHTTPS,
		"http://localhost.example.com":    notHTTPS,
		"http://127.0.0.2":                notHTTPS,
		"ftp://example.com":               notHTTPS,
		"example.com":                     notHTTPS,
		"":                                notHTTPS,
		"https://user@example.com":        hasUser,
		"https://user:secret@example.com": hasUser,
		"https://example.com/a@b":         "",
		"https://exa mple.com":            notPlain,
		"https://exämple.com":             notPlain,
	} {
		if problem := CheckURI(uri); problem != want {
			t.Errorf("%q: %q, want %q", uri, problem, want)
		}
	}
}

func TestCheckRedirect(t *testing.T) { // REG-35, REG-36
	const (
		relative = "must be an absolute address"
		browser  = "has a scheme that browsers open themselves"
		native   = "must be https, as only native clients have schemes of their own"
	)
	for _, test := range []struct{ uri, web, native string }{
		{"https://example.com/cb", "", ""},
		{"https://anywhere.example/cb?a=b", "", ""},
		{"HTTPS://example.com/cb", notHTTPS, notHTTPS}, // spelled as no client spells it
		{"http://localhost:8080/cb", "", ""},
		{"http://127.0.0.1/cb", "", ""},
		{"http://[::1]/cb", "", ""},
		{"http://example.com/cb", notLoopback, notLoopback},
		{"http://localhost@example.com/cb", hasUser, hasUser},
		{"https://example.com/cb#a", hasFragment, hasFragment},
		{"https://example.com/c b", notPlain, notPlain},
		{"https://example.com/\u200b", notPlain, notPlain},
		{"app.example:/cb", native, ""},
		{"app:cb", native, ""},
		{"App:cb", native, ""},
		{"app:", relative, relative},
		{"/cb", relative, relative},
		{"", relative, relative},
		{"1app:cb", relative, relative},
		{"javascript:alert(1)", browser, browser},
		{"JavaScript:alert(1)", browser, browser},
		{"data:text/html,x", browser, browser},
	} {
		if problem := CheckRedirect(model.WebApplication, test.uri); problem != test.web {
			t.Errorf("%q of a web client: %q, want %q", test.uri, problem, test.web)
		}
		if problem := CheckRedirect(model.NativeApplication, test.uri); problem != test.native {
			t.Errorf("%q of a native client: %q, want %q", test.uri, problem, test.native)
		}
	}
}

// TestPlain: percent signs stand before two hexadecimal digits, of either case, and nothing is cut off at the end.
func TestPlain(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "azAZ09": true, "-._~:/?#[]@!$&'()*+,;=": true, "%00": true, "%aF": true, "%9f%A0": true, "a%20b": true,
		"%": false, "%0": false, "a%2": false, "%g0": false, "%0g": false, "%/0": false, "%:0": false, "%@0": false, "%G0": false, "%`0": false, "%0/": false, "%0:": false, "%0@": false, "%0G": false, "%0`": false,
		"%%20": false, "%20%": false,
		" ": false, "\"": false, "<": false, ">": false, "\\": false, "^": false, "`": false, "{": false, "|": false, "}": false, "\x7f": false, "\x00": false, "é": false,
	} {
		if got := plain(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestLanguage holds what stands behind the "#" of a member's name (REG-24).
func TestLanguage(t *testing.T) {
	for tag, want := range map[string]bool{
		"de": true, "zh-Hant-TW": true, "az-AZ-09": true, strings.Repeat("a", 35): true,
		"": false, strings.Repeat("a", 36): false, "_de": false, "de_AT": false, "de/": false, "de:": false, "de@": false, "de[": false, "de`": false, "de{": false, "dé": false,
	} {
		if got := language(tag); got != want {
			t.Errorf("%q: %v", tag, got)
		}
	}
}

// TestListAndRemove: those of the configuration are listed before the first that registered, and stay.
func TestListAndRemove(t *testing.T) {
	r := newRoom(t)
	ctx := context.Background()
	r.config.Static = map[string]model.Client{"zed": {ID: "zed"}, "app": {ID: "app"}}
	one := r.register(with(t, nil))
	two := r.register(with(t, members{"client_name": `"Two"`}))
	first, second := min(one.ID, two.ID), max(one.ID, two.ID)
	list := func(after string, limit int) (ids []string) {
		t.Helper()
		err := r.config.Store.View(ctx, func(tx *store.Tx) error {
			all, err := r.List(tx, after, limit)
			for _, c := range all {
				ids = append(ids, c.ID)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	want := func(got []string, ids ...string) {
		t.Helper()
		if strings.Join(got, " ") != strings.Join(ids, " ") {
			t.Errorf("got the clients %q, want %q", got, ids)
		}
	}
	want(list("", 10), "app", "zed", first, second)
	want(list("", 1), "app", "zed", first)
	want(list(first, 10), second)
	want(list(second, 10))

	remove := func(id string) (consents int64, err error) {
		err = r.config.Store.Update(ctx, func(tx *store.Tx) error {
			consents, err = r.Remove(tx, id)
			return err
		})
		return consents, err
	}
	fails := func(id string, code model.Code) {
		t.Helper()
		if _, err := remove(id); err == nil || model.AsError(err).Code != code {
			t.Errorf("removing %q gave %v, want %s", id, err, code)
		}
	}
	fails("app", model.InvalidParam)
	fails("nobody", model.UnknownClient)
	if err := r.config.Store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertUser(model.User{ID: "alice", Localpart: "alice", CreatedAt: tx.Now}); err != nil {
			return err
		}
		return tx.SaveConsent(model.Consent{UserID: "alice", ClientID: one.ID, RedirectURI: "https://example.com/cb", Scope: model.ScopeAPI})
	}); err != nil {
		t.Fatal(err)
	}
	if n, err := remove(one.ID); err != nil || n != 1 {
		t.Errorf("removed with %d consents, %v", n, err)
	}
	fails(one.ID, model.UnknownClient)
	want(list("", 10), "app", "zed", two.ID)
	if n, err := remove(two.ID); err != nil || n != 0 {
		t.Errorf("removed with %d consents, %v", n, err)
	}
}

// TestBrokenStore: a store that cannot be read says nothing of a client, and above all not that there is none.
func TestBrokenStore(t *testing.T) {
	r := newRoom(t)
	known := r.register(with(t, nil))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, f := range map[string]func() error{
		"find": func() error { _, err := r.Find(over, known.ID); return err },
		"authenticate": func() error {
			_, err := r.Authenticate(over, Credentials{ID: known.ID, Method: model.AuthNone})
			return err
		},
		"register": func() error { _, err := r.Register(over, with(t, nil), "192.0.2.1"); return err },
		"a secret": func() error {
			_, err := r.Register(over, with(t, members{"token_endpoint_auth_method": `"client_secret_basic"`}), "192.0.2.1")
			return err
		},
	} {
		err := f()
		if code := model.AsError(err); err == nil || code.Code == model.UnknownClient || code.Code == model.InvalidClient {
			t.Errorf("%s gave %v", name, err)
		}
	}
}

// TestRegisterHolds: a client that nobody consented to counts for the network from which it registered last (REG-26).
func TestRegisterHolds(t *testing.T) {
	r := newRoom(t)
	register := func(ip string) model.Client {
		t.Helper()
		got, err := r.Register(t.Context(), with(t, nil), ip)
		if err != nil {
			t.Fatal(err)
		}
		return r.find(got.ID)
	}
	first := register("192.0.2.1")
	if first.Network == "" {
		t.Fatal("it counts for no network")
	}
	if second := register("203.0.113.1"); second.ID != first.ID || second.Network == first.Network || second.Network == "" {
		t.Errorf("it counts for %q, before for %q", second.Network, first.Network)
	}
}

// TestBounds: what is as long as it may be is taken, and one byte or one value more is not (REG-29).
func TestBounds(t *testing.T) {
	clients := New(Config{})
	text := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	list := func(n int, value string) string {
		return "[" + strings.Join(slices.Repeat([]string{value}, n), ",") + "]"
	}
	for name, test := range map[string]struct{ most, beyond members }{
		"a text":            {members{"client_name": text(bound.MetadataText)}, members{"client_name": text(bound.MetadataText + 1)}},
		"a number of texts": {members{"contacts": list(bound.Contacts, `"a"`)}, members{"contacts": list(bound.Contacts+1, `"a"`)}},
		"a text of many":    {members{"contacts": list(1, text(bound.MetadataText))}, members{"contacts": list(1, text(bound.MetadataText+1))}},
	} {
		if _, err := clients.parse(with(t, test.most)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := clients.parse(with(t, test.beyond)); err == nil || model.AsError(err).Code != model.InvalidClientMetadata {
			t.Errorf("%s beyond the bound: %v", name, err)
		}
	}

	// All together is counted as it is kept.
	sized := func(last int) members {
		var uris []string
		for i := range 4 {
			uris = append(uris, fmt.Sprintf(`"https://example.com/%d%s"`, i, strings.Repeat("x", 1900)))
		}
		return members{"redirect_uris": "[" + strings.Join(append(uris, `"https://example.com/`+strings.Repeat("y", last)+`"`), ",") + "]"}
	}
	small, err := clients.parse(with(t, sized(0)))
	if err != nil {
		t.Fatal(err)
	}
	record, err := model.MarshalText(small)
	if err != nil {
		t.Fatal(err)
	}
	room := bound.Registration - len(record)
	if _, err := clients.parse(with(t, sized(room))); err != nil {
		t.Errorf("as much as there may be: %v", err)
	}
	if _, err := clients.parse(with(t, sized(room+1))); err == nil {
		t.Error("a byte more is taken")
	}
}

// TestEmptyNames: a name that is empty in one language says nothing of the others (REG-24).
func TestEmptyNames(t *testing.T) {
	got, err := New(Config{}).parse(with(t, members{"client_name#aa": `"\u202e"`, "client_name#bb": `"B"`, "tos_uri#aa": `""`, "tos_uri#bb": `"https://example.com/b"`}))
	if err != nil || len(got.Localized) != 2 || got.Localized["client_name#bb"] != "B" || got.Localized["tos_uri#bb"] != "https://example.com/b" {
		t.Errorf("kept %v, %v", got.Localized, err)
	}
}
