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
		"می\u200cخواهم 👩\u200d👩 日本語 é": "می\u200cخواهم 👩\u200d👩 日本語 é", // joiners are part of words
	} {
		if got := PlainText(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
