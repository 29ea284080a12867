package caddymodule

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// TestEveryFindingOfAMoveIsInThePage: the page has a row for each code, with its weight, and none for another.
func TestEveryFindingOfAMoveIsInThePage(t *testing.T) {
	text, err := os.ReadFile("../docs/migrate-synapse.md")
	must(t, err)
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_0-9]+)` \\| (error|warning|left|note) \\| .+ \\| .+ \\|$").FindAllStringSubmatch(string(text), -1) {
		if documented[row[1]] != "" {
			t.Errorf("%s is there twice", row[1])
		}
		documented[row[1]] = row[2]
	}
	for _, kind := range matrixauth.MoveKinds() {
		code := string(kind.Code)
		if documented[code] != string(kind.Weight) {
			t.Errorf("the page should have: %s", findingRow(kind))
		}
		delete(documented, code)
	}
	for code := range documented {
		t.Errorf("the page has %s, which is never found", code)
	}
}

// findingRow is the row of the page for a kind of finding.
func findingRow(kind matrixauth.MoveKind) string {
	text := func(of string) string { return strings.NewReplacer("%s", "…", "|", `\|`).Replace(of) }
	return "| `" + string(kind.Code) + "` | " + string(kind.Weight) + " | " + text(kind.What) + " | " + text(kind.Change) + " |"
}

// TestKindsOfFindings: a code is one kind's, and what the owner reads ends in no full stop, as it stands within a sentence.
func TestKindsOfFindings(t *testing.T) {
	var codes []string
	for _, kind := range matrixauth.MoveKinds() {
		if slices.Contains(codes, string(kind.Code)) {
			t.Errorf("%s is there twice", kind.Code)
		}
		codes = append(codes, string(kind.Code))
		if kind.What == "" || kind.Change == "" || strings.HasSuffix(kind.What, ".") || strings.HasSuffix(kind.Change, ".") {
			t.Errorf("%+v", kind)
		}
	}
}
