package matrixauth

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// section is the part of a page of docs below a heading of the second level.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/%s has no heading %q", page, heading)
	}
	part, _, _ := strings.Cut(rest, "\n## ")
	return part
}

// firstCells are the first cells of the rows of a section's tables.
func firstCells(section string) (cells []string) {
	for _, match := range regexp.MustCompile(`(?m)^\| ([^|]+) \|`).FindAllStringSubmatch(section, -1) {
		cells = append(cells, match[1])
	}
	return cells
}

// TestDocumentedEndReasons: an operator who finds a reason in the database finds it in the documentation.
func TestDocumentedEndReasons(t *testing.T) {
	var documented, existing []string
	for _, cell := range firstCells(section(t, "troubleshooting.md", "## A session that was lost"))[1:] {
		for _, match := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cell, -1) {
			documented = append(documented, match[1])
		}
	}
	for _, reason := range model.EndReasons {
		existing = append(existing, string(reason))
	}
	slices.Sort(documented)
	slices.Sort(existing)
	if !slices.Equal(documented, existing) {
		t.Errorf("documented %q\nexisting   %q", documented, existing)
	}
}

// english are the texts of our pages.
func english(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.ReadFile("internal/page/languages/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(file, &all); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for key, value := range all {
		if text, ok := value.(string); ok {
			texts[key] = text
		}
	}
	return texts
}

// TestDocumentedHeadings: a person who reads a heading to the operator is helped by the documentation.
func TestDocumentedHeadings(t *testing.T) {
	var documented, existing []string
	for _, cell := range firstCells(section(t, "troubleshooting.md", "## What a page says"))[1:] {
		for _, match := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(cell, -1) {
			documented = append(documented, match[1])
		}
	}
	for key, text := range english(t) {
		if strings.HasPrefix(key, "error.") && strings.HasSuffix(key, ".title") {
			existing = append(existing, text)
		}
	}
	slices.Sort(documented)
	slices.Sort(existing)
	if !slices.Equal(documented, existing) {
		t.Errorf("documented %q\nexisting   %q", documented, existing)
	}
}

// othersWords are what troubleshooting quotes of others: programs of theirs, names in their files and requests.
var othersWords = []string{
	"Unable to introspect the access token", // Synapse's
	`"locked": true`,                        // a request to Synapse
	"soft logged out",                       // clients'
}

// isCommand reports whether a quotation is what an operator types. The page of commands is held by a test of its own.
var isCommand = regexp.MustCompile(`^(user|session|consent|token|migrate|backup|doctor|synapse-config)\b`).MatchString

// TestDocumentedMessages: what troubleshooting says that operators see is what the programs say. A quotation may leave
// something out, for which … stands, and N is a number.
func TestDocumentedMessages(t *testing.T) {
	said := sources(t)
	for _, text := range english(t) {
		said += "\n" + text
	}
	page, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(page), "\n## ")
	quoted := 0
	for _, cell := range firstCells(table) {
		for _, match := range regexp.MustCompile("`([^`]+)`|\"([^\"]+)\"").FindAllStringSubmatch(cell, -1) {
			quotation := match[1] + match[2]
			if slices.Contains(othersWords, quotation) || isCommand(quotation) {
				continue
			}
			quoted++
			for _, part := range regexp.MustCompile(`…|\bN\b|\b127\.0\.0\.1:8080\b`).Split(quotation, -1) {
				if part = strings.TrimSpace(part); !strings.Contains(said, part) {
					t.Errorf("nothing says %q of %q", part, quotation)
				}
			}
		}
	}
	if quoted < 20 {
		t.Errorf("only %d quotations were found", quoted)
	}
}

// sources are the texts of all our code but tests, with what follows a closing quotation mark and a plus joined.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, root := range []string{".", "../caddymodule"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return regexp.MustCompile(`"\s*\+\s*"`).ReplaceAllString(all.String(), "")
}
