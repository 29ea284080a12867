package account_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

const (
	profilePath    = "/account/profile"
	profileHeading = "Your profile"
)

// profileHouse has alice at the page of her profile.
func profileHouse(t *testing.T, changes ...house.Change) (*house.House, *house.Browser) {
	t.Helper()
	h := house.New(t, append([]house.Change{house.Unlimited}, changes...)...)
	h.Add("alice", "bob")
	v := h.SignedInAs("alice")
	v.Get(profilePath).WantPage(t, http.StatusOK, profileHeading)
	return h, v
}

// wantName looks for the name that the homeserver shows, and how often it was called to change one.
func wantName(h *house.House, name string) {
	h.T.Helper()
	u, _ := h.Fake.User("alice")
	if (u.DisplayName == nil) != (name == "") || u.DisplayName != nil && *u.DisplayName != name {
		h.T.Errorf("the homeserver has %v, want %q", u.DisplayName, name)
	}
}

// TestProfilePage: the display name is that of the homeserver, and set there (ACCT-2).
func TestProfilePage(t *testing.T) {
	t.Run("it is shown, set and removed", func(t *testing.T) {
		h, v := profileHouse(t)
		for _, name := range []string{"Alice & <b>Co</b>", "", "  أليس  "} {
			v.Post(profilePath, "display_name", name).WantTo(t, profilePath+"?saved=1")
			wantName(h, strings.TrimSpace(name))
			v.Follow().WantPage(t, http.StatusOK, profileHeading)
			if !strings.Contains(house.Shown(v.At), "Your display name was changed.") || strings.Contains(v.At.Body, "<b>Co") {
				t.Errorf("the page is %s", v.At.Body)
			}
		}
		if !strings.Contains(v.At.Body, `value="أليس"`) {
			t.Errorf("the page is %s", v.At.Body)
		}
		last := house.Act(h, matrixauth.ListEvents, matrixauth.EventQuery{User: "alice"}).Events[0]
		if last.Action != "user.set-display-name" || last.By.Kind != "user" || last.Details["display_name"] != "أليس" {
			t.Errorf("the event is %+v", last)
		}
		if who, _ := h.Fake.User("bob"); *who.DisplayName != "bob" { // as Synapse names new users
			t.Errorf("bob is called %q", *who.DisplayName)
		}
	})
	t.Run("what is no name is refused, and stays in the form", func(t *testing.T) {
		h, v := profileHouse(t)
		for _, name := range []string{strings.Repeat("ä", 257), "two\nlines"} {
			v.Post(profilePath, "display_name", name).WantPage(t, http.StatusBadRequest, profileHeading)
			if !strings.Contains(house.Shown(v.At), "256 characters on one line") || !strings.Contains(v.At.Body, name) {
				t.Errorf("the page is %s", v.At.Body)
			}
		}
		if calls := h.Fake.Calls("set_displayname", "unset_displayname"); len(calls) != 0 {
			t.Errorf("called %+v", calls)
		}
	})
	for status, test := range map[int]struct {
		errcode, says string
		want          int
	}{
		http.StatusTooManyRequests: {"M_LIMIT_EXCEEDED", "too often in a short time", http.StatusTooManyRequests},
		http.StatusBadGateway:      {"", "cannot do this at the moment", http.StatusServiceUnavailable},
	} {
		t.Run("the homeserver answers "+http.StatusText(status), func(t *testing.T) {
			h, v := profileHouse(t)
			events := h.Count("events")
			h.Fake.Fail(status, test.errcode)
			v.Post(profilePath, "display_name", "Typed Before").WantPage(t, test.want, profileHeading)
			if !strings.Contains(house.Shown(v.At), test.says) || !strings.Contains(v.At.Body, `value="Typed Before"`) {
				t.Errorf("the page is %s", v.At.Body)
			}
			page := v.At
			v.Get(profilePath).WantPage(t, http.StatusServiceUnavailable, profileHeading)
			if strings.Contains(v.At.Body, `name="display_name"`) {
				t.Error("the form would remove the name that is not known")
			}
			h.Fake.Recover()
			h.Settle()
			wantName(h, "alice") // nothing is done later by itself
			if h.Count("events") != events {
				t.Error("an event says what was not done")
			}
			v.At = page
			v.Post(profilePath, "display_name", "Typed Before").WantTo(t, profilePath+"?saved=1")
			wantName(h, "Typed Before")
		})
	}
	t.Run("the picture is removed, and the name stays", func(t *testing.T) {
		h, v := profileHouse(t)
		if strings.Contains(v.At.Body, "Remove the picture") {
			t.Error("there is no picture to remove")
		}
		avatar, name := "mxc://example.test/picture", "Alice"
		h.Fake.Seed(fake.User{Localpart: "alice", AvatarURL: &avatar, DisplayName: &name})
		v.Get(profilePath).WantPage(t, http.StatusOK, profileHeading)
		if !strings.Contains(v.At.Body, "Remove the picture") || strings.Contains(v.At.Body, avatar) || strings.Contains(v.At.Body, "<img") {
			t.Errorf("the page is %s", v.At.Body)
		}
		page := v.At
		h.Fake.Fail(http.StatusBadGateway, "")
		v.Post(profilePath, "what", "avatar").WantPage(t, http.StatusServiceUnavailable, profileHeading)
		h.Fake.Recover()
		v.At = page
		v.Post(profilePath, "what", "avatar").WantTo(t, profilePath+"?removed=1")
		if u, _ := h.Fake.User("alice"); u.AvatarURL != nil {
			t.Error("the picture is there")
		}
		wantName(h, name)
		v.Follow().WantPage(t, http.StatusOK, profileHeading)
		if text := house.Shown(v.At); !strings.Contains(text, "Your picture was removed.") {
			t.Errorf("the page says %s", text)
		}
		if last := house.Act(h, matrixauth.ListEvents, matrixauth.EventQuery{User: "alice"}).Events[0]; last.Action != "user.remove-avatar" || last.By.Kind != "user" {
			t.Errorf("the event is %+v", last)
		}
	})
	t.Run("not so often that what happened to the account is pushed out", func(t *testing.T) {
		h, v := profileHouse(t)
		for i := range bound.RenamesPerAccount.Burst {
			name := []string{"display_name", "Alice"}
			if i%2 == 1 {
				name = []string{"what", "avatar"}
			}
			v.Post(profilePath, name...).WantStatus(t, http.StatusSeeOther)
			v.Get(profilePath)
		}
		page, before := v.At, h.Rows()
		v.Post(profilePath, "display_name", "Once more").WantPage(t, http.StatusTooManyRequests, profileHeading)
		v.At = page
		v.Post(profilePath, "what", "avatar").WantPage(t, http.StatusTooManyRequests, profileHeading)
		if h.Rows() != before {
			t.Error("something was written")
		}
		wantName(h, "Alice")
	})
	t.Run("an account that was deactivated meanwhile is not touched", func(t *testing.T) {
		h, v := profileHouse(t)
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
		v.Post(profilePath, "display_name", "Ghost").WantTo(t, "/account/login?action=org.matrix.profile")
		if calls := h.Fake.Calls("set_displayname"); len(calls) != 0 {
			t.Errorf("called %+v", calls)
		}
	})
	t.Run("another site cannot set it", func(t *testing.T) {
		h, v := profileHouse(t)
		v.Ask(http.MethodPost, profilePath, house.Form("display_name", "Evil"), http.Header{"Content-Type": house.FormType["Content-Type"], "Sec-Fetch-Site": {"cross-site"}})
		if v.At.Status != http.StatusForbidden {
			t.Errorf("got %d", v.At.Status)
		}
		v.Post(profilePath, "display_name", "Evil").WantTo(t, profilePath+"?stale=1") // without a token
		wantName(h, "alice")
	})
	t.Run("not while nothing is written to the homeserver", func(t *testing.T) {
		h := house.New(t, house.Unlimited, func(c *matrixauth.Config) { c.Kind = matrixauth.SynapseReadOnly })
		h.Add("alice")
		h.Fake.Seed(fake.User{Localpart: "alice"})
		v := h.SignedInAs("alice")
		v.Get(profilePath).WantPage(t, http.StatusOK, profileHeading)
		v.Post(profilePath, "display_name", "Alice").WantPage(t, http.StatusServiceUnavailable, profileHeading)
	})
}
