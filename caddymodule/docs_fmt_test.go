package caddymodule

import (
	"os"
	"regexp"
	"testing"

	"github.com/aymanbagabas/go-udiff"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TestSnippetsAreFormatted: "caddy fmt" leaves every Caddyfile that we show as it is, so that nobody who pastes one
// is told of a difference.
func TestSnippetsAreFormatted(t *testing.T) {
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	snippets := map[string][]string{"Caddyfile.example": {string(example), uncommented(string(example))}}
	for file, text := range pages(t) {
		for _, match := range regexp.MustCompile("(?s)```caddyfile\n(.*?)```").FindAllStringSubmatch(text, -1) {
			snippets[file] = append(snippets[file], match[1])
		}
	}
	for file, texts := range snippets {
		for _, text := range texts {
			if got := string(caddyfile.Format([]byte(text))); got != text {
				t.Errorf("caddy fmt changes a snippet of %s:\n%s", file, udiff.Unified("shown", "formatted", text, got))
			}
		}
	}
}
