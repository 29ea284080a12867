package page

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gallery is a folder into which every page is written, to be looked at:
//
//	go test ./matrixauth/internal/page -run TestGallery -gallery /tmp/pages
var gallery = flag.String("gallery", "", "write every page into this folder")

// TestGallery renders every page in every language. Each is whole, and has what every page must have.
func TestGallery(t *testing.T) {
	p := newPages(t, Config{Name: "Example"})
	for _, s := range p.catalogue.languages {
		lang := s.tag.String()
		for i, sample := range Samples(now) {
			name := fmt.Sprintf("%02d_%s_%s", i, sample.template(), lang)
			t.Run(name, func(t *testing.T) {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Accept-Language", lang)
				body := render(t, p, r, sample).Body.String()
				for _, part := range []string{`<html lang="` + lang + `" dir="` + s.direction() + `">`, "<h1>", "</html>", "<title>", `<main `} {
					if strings.Count(body, part) != 1 {
						t.Errorf("%q is there %d times", part, strings.Count(body, part))
					}
				}
				if strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "{") && !strings.Contains(body, "<script>") {
					t.Errorf("something was not filled in:\n%s", body)
				}
				if *gallery != "" {
					hang(t, p, name, body)
				}
			})
		}
	}
}

func hang(t *testing.T, p *Pages, name, body string) {
	t.Helper()
	for _, a := range p.assets {
		file := filepath.Base(a.path)
		body = strings.ReplaceAll(body, p.Issuer.Path+a.path, file)
		if err := os.WriteFile(filepath.Join(*gallery, file), a.data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Without the script that would leave the page at once.
	body = strings.ReplaceAll(body, submitScript, "")
	if err := os.WriteFile(filepath.Join(*gallery, name+".html"), []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}
