package model

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestClientMetadataJSON writes localized members among the others and reads them again.
func TestClientMetadataJSON(t *testing.T) {
	for _, m := range []ClientMetadata{
		{},
		{Name: "x", RedirectURIs: []string{"https://example.com/?a&b"}, Localized: map[string]string{"client_name#de": `"`, "tos_uri#fr": "https://example.com"}},
	} {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := ClientMetadata{Localized: map[string]string{"client_name#xx": "left over"}}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestClientName(t *testing.T) { // REG-24
	c := Client{ID: "id", Metadata: ClientMetadata{
		Name: "Talk", URI: "https://app.example.com:8443/x", PolicyURI: "https://example.com/p",
		Localized: map[string]string{"client_name#de": "Plausch", "client_name#pt-BR": "Papo", "policy_uri#de": "https://example.com/d"},
	}}
	for language, want := range map[string]string{
		"": "Talk", "de": "Plausch", "DE": "Plausch", "de-AT": "Plausch", "de-AT-1996": "Plausch", "pt-BR": "Papo", "pt-br": "Papo", "pt": "Talk", "fr": "Talk", "d": "Talk", "-": "Talk",
	} {
		if got := c.Name(language); got != want {
			t.Errorf("%s is %q in %q", c.ID, got, language)
		}
	}
	if c.PolicyURI("de-DE") != "https://example.com/d" || c.PolicyURI("fr") != "https://example.com/p" || c.TOSURI("de") != "" {
		t.Error("the pages are wrong")
	}
	c.Metadata.Name = ""
	if got := c.Name("fr"); got != "app.example.com" {
		t.Errorf("without a name it is %q", got)
	}
	if got := (Client{ID: "id"}).Name("de"); got != "id" {
		t.Errorf("without anything it is %q", got)
	}
}

func TestPlainText(t *testing.T) { // HTTP-9
	for text, want := range map[string]string{
		"":                              "",
		"Element":                       "Element",
		" a\n\tb\u2028c\u00a0 ":         "a b c",
		"a\x00\x1b[31mb\x7f\u0085":      "a[31mb",
		"\u202eevil\u202c\u2066x\u2069": "evilx",
		"\u061c\u200e\u200f":            "",
		"\ufeffa\ufffdb\xff":            "ab",
		// A pile of marks is cut, and what is written is left as it is.
		"z\u0300\u0301\u0302\u0303\u0304\u0489\u0300a\u0300": "z\u0300\u0301\u0302a\u0300",
		"z\u0300\u200d\u0301\u0302\u200c\u0303\u0304":        "z\u0300\u200d\u0301\u0302\u200c",
		"\u0301\u0302a \u0301b":                              "a b",
		"Tie\u0302\u0301ng Vie\u0323\u0302t ཧཱུྃ สำนักที่ בְּרֵאשִׁ֖ית 1\ufe0f\u20e3 ❤\ufe0f नमस्ते": "Tie\u0302\u0301ng Vie\u0323\u0302t ཧཱུྃ สำนักที่ בְּרֵאשִׁ֖ית 1\ufe0f\u20e3 ❤\ufe0f नमस्ते",
		"می\u200cخواهم 👩\u200d👩 日本語 é": "می\u200cخواهم 👩\u200d👩 日本語 é", // joiners are part of words
	} {
		if got := PlainText(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestClientNameOfAnother: a name that is an address says where an app comes from, and so must be true
// (AUTHZ-19, HTTP-9).
func TestClientNameOfAnother(t *testing.T) {
	c := Client{ID: "id", Metadata: ClientMetadata{URI: "https://evil.example:8443/app"}}
	for _, name := range []string{
		"app.element.io", "APP.ELEMENT.IO", "Element (app.element.io)", "Element – app.element.io", "app.element.io.", "app.element.io:443", "https://app.element.io/#/login",
		"https://app.element.io", "http:app.element.io", "//app.element.io/", "app.element.io/evil.example", "evil.example app.element.io", "www.element.io", "element.io,",
		"app．element．io", "ａｐｐ.element.io", "app。element｡io", "app·element·io", "app․element․io", "app.\u200delement.io", "арр.element.io", "app.еlement.рф", "xn--80ak6aa92e.com",
		"app.xn--p1ai", "chat.lan", "192.0.2.1", "192.0.2.1:8448", "[2001:db8::1]", "2001:db8::1",
		"alice@element.io", "Element <support@element.io>", "@alice:element.io", "@alice:localhost", "mailto:a@element.io", "support@evil.example", "evil.example.com", "sub.evil.example", "example",
	} {
		want := "evil.example"
		if name == "example" {
			want = name // it is not an address
		}
		c.Metadata.Name = name
		c.Metadata.Localized = map[string]string{"client_name#de": name}
		for _, got := range []string{c.Name(""), c.Name("de"), c.DeviceName()} {
			if got != want {
				t.Errorf("%q is shown as %q", name, got)
			}
		}
	}
	for _, name := range []string{
		"Element", "Element X", "Cinny v4.2.1", "Hydrogen 0.5", "FluffyChat 2.0.beta1", "e.g. a client", "Mr. Chat", "Chat...", "A.B", "a – b", "Chat @ Work", "ement-el", "日本語チャット", "Fractal 12", "C++ & Co.",
		"evil.example", "Evil.Example", "https://evil.example/", "Chat (evil.example)", "AT&T", "1.2", "12:30", "Chat/Talk", "::",
	} {
		c.Metadata.Name = name
		if got := c.Name(""); got != name {
			t.Errorf("%q is shown as %q", name, got)
		}
	}
	c.Static, c.Metadata.Name = true, "app.element.io"
	if got := c.Name(""); got != "app.element.io" {
		t.Errorf("the operator's name is shown as %q", got)
	}
}

func FuzzPlainText(f *testing.F) {
	for _, seed := range []string{"Element", "z\u0300\u0301\u0302\u0303", "app。element.io", "\u200d\u0301", "[::1]", "@a:b", "..", "//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := PlainText(text)
		if again := PlainText(once); again != once {
			t.Errorf("%q becomes %q, and that %q", text, once, again)
		}
		namesAnother(text, "example.org")
		if namesAnother("example.org", "example.org") {
			t.Error("its own host is another's")
		}
	})
}
