package account_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

var navigation = regexp.MustCompile(`(?s)<nav .*</nav>`)

// current returns the lines of a page's navigation that are marked, as "address mark".
func current(a house.Answer) (marked []string) {
	for _, match := range regexp.MustCompile(`<a href="([^"]*)" aria-current="([^"]*)"`).FindAllStringSubmatch(navigation.FindString(a.Body), -1) {
		marked = append(marked, match[1]+" "+match[2])
	}
	return marked
}

// TestSections: the account pages have one navigation, which says where one is, and each is reached through the sign-in
// (ACCT-8).
func TestSections(t *testing.T) {
	h := house.New(t, house.Unlimited, house.WithMail)
	h.Add("alice")
	b := h.SignedInAs("alice")
	h.LoginOn("alice", "PHONE")
	for _, section := range page.Sections {
		path := "/" + section.Path
		t.Run(path, func(t *testing.T) {
			v := h.Browser()
			v.Get(path)
			login := v.At.Header.Get("Location")
			if !strings.HasPrefix(login, "/account/login") {
				t.Fatalf("it leads to %q", login)
			}
			if to := v.SignIn("alice", strings.TrimPrefix(login, "/account/login")); to != path && !strings.HasPrefix(to, path+"?") {
				t.Errorf("the sign-in leads to %s", to)
			}
			a := v.Follow()
			if got := current(a); !slices.Equal(got, []string{path + " page"}) {
				t.Errorf("the navigation marks %q", got)
			}
			if n := strings.Count(navigation.FindString(a.Body), "<li>"); n != len(page.Sections) {
				t.Errorf("the navigation has %d lines", n)
			}
		})
	}
	for path, want := range map[string]string{
		"/account/addresses/add": "/account/addresses true", "/account/?action=org.matrix.device_delete&device_id=PHONE": "/account/ true",
		"/account/sessions/end-others?what=browsers": "/account/browsers true", "/account/sessions/end-others?what=apps": "/account/ true",
	} {
		if got := current(b.Get(path)); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: the navigation marks %q, want %q", path, got, want)
		}
	}
	t.Run("not around other pages", func(t *testing.T) {
		for _, path := range []string{"/account/login", "/account/signed-out", "/account/?action=org.matrix.cross_signing_reset", "/account/?action=org.matrix.device_view&device_id=NONE"} {
			if found := navigation.FindString(b.Get(path).Body); found != "" {
				t.Errorf("%s has %s", path, found)
			}
		}
	})
	t.Run("signs out of these pages", func(t *testing.T) {
		b.Get("/account/browsers").WantPage(t, http.StatusOK, "Browsers")
		b.Post("/account/logout").WantTo(t, "/account/signed-out")
		b.Get("/account/browsers").WantTo(t, "/account/login?action=browsers")
		h.WantDevices("alice", "PHONE")
	})
}

// TestRenewedKeySignsNoBrowserOut: cookies are random values with a row, which no key proves (SESS-10).
func TestRenewedKeySignsNoBrowserOut(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	b := h.SignedInAs("alice")
	house.Act(h, matrixauth.RenewKey, matrixauth.KeyRenewal{Leaked: true})
	b.Get("/account/").WantPage(t, http.StatusOK, "Apps and devices")
}
