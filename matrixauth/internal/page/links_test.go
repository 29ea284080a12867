package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// TestLinks: every page links to the operator's own pages, in its language and beside itself, and an
// address that would run in our page is refused.
func TestLinks(t *testing.T) {
	p := newPages(t, Config{Links: Links{Terms: "https://example.com/terms?a=b&c=d", Imprint: "https://example.com/imprint", Help: "mailto:help@example.com"}})
	for _, sample := range Samples(now) {
		for language, texts := range map[string][]string{"en": {"Terms of service", "Imprint", "Help"}, "de": {"Nutzungsbedingungen", "Impressum", "Hilfe"}} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Language", language)
			_, foot, _ := strings.Cut(render(t, p, r, sample).Body.String(), "<footer")
			for i, href := range []string{"https://example.com/terms?a=b&amp;c=d", "https://example.com/imprint", "mailto:help@example.com"} {
				if want := `<a href="` + href + `" rel="noopener noreferrer" target="_blank">` + texts[i] + "</a>"; !strings.Contains(foot, want) {
					t.Errorf("%s in %s: no %s in\n%s", sample.template(), language, want, foot)
				}
			}
			if strings.Count(foot, "<a ") != 3 {
				t.Errorf("%s links to what was not given:\n%s", sample.template(), foot)
			}
		}
	}
	if _, foot, _ := strings.Cut(render(t, newPages(t, Config{}), httptest.NewRequest(http.MethodGet, "/", nil), SignedOut{}).Body.String(), "<footer"); strings.Contains(foot, "<ul") {
		t.Errorf("there is a list of nothing:\n%s", foot)
	}
	for _, bad := range []string{"/terms", "terms", "//example.com/terms", "javascript:alert(1)", "data:text/html,x", "https://", "https:///x", "https://a b/", "https://a/\nb",
		"https://user@example.com/", "ftp://example.com/", "mailto:nobody", "https://example.com/" + strings.Repeat("a", bound.BrandLink)} {
		for _, mail := range []bool{true, false} {
			if CheckLink(bad, mail) == nil {
				t.Errorf("%q is taken, mail %v", bad, mail)
			}
		}
	}
	if CheckLink("mailto:a@example.com", false) == nil || CheckLink("mailto:a@example.com?subject=Help", true) != nil || CheckLink("https://example.com", false) != nil {
		t.Error("mail addresses are checked wrongly")
	}
}
