package matrixauth_test

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestSecretsAreHashed: whoever reads the database, or a backup of it, finds nothing that opens anything: of tokens,
// codes, cookies and secrets of clients there are hashes alone (KEY-4).
func TestSecretsAreHashed(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	h.Register("app", "")
	h.Register("server", "a secret of a client that is long")
	v := h.Browser()
	v.SignIn("alice", "")
	code := v.Consent(house.Params("app"))
	phone := h.Tokens(h.Exchange("app", code))
	legacy := h.SignedIn(h.Refresh(h.Login("alice", house.Object{"refresh_token": true}).RefreshToken))
	waiting := h.SignedInAs("alice").Consent(house.Params("app", "scope", house.DeviceScope("DESK")))
	registered := h.MustRegister(house.WebClient(house.Object{"token_endpoint_auth_method": "client_secret_basic"}))
	secrets := map[string]string{
		"a code that was used": code, "a code that waits": waiting, "an access token": phone.AccessToken, "a refresh token": phone.RefreshToken,
		"an access token of the login API": legacy.AccessToken, "a refresh token of it": legacy.RefreshToken,
		"the secret of a client": "a secret of a client that is long", "one that we made": registered["client_secret"].(string),
		"a password": house.AlicesPassword, "the secret shared with Synapse": house.SharedKey,
	}
	for name, value := range v.Cookies {
		secrets["the cookie "+name] = value
	}
	if len(v.Cookies) < 2 {
		t.Errorf("the browser has the cookies %v", v.Cookies)
	}
	var kept []byte
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(h.File + suffix)
		h.Must(err)
		kept = append(kept, text...)
	}
	if !bytes.Contains(kept, []byte("alice")) {
		t.Fatal("the files do not hold what they should")
	}
	for name, secret := range secrets {
		for part := range strings.SplitSeq(secret, ".") { // a cookie may have several
			if len(part) < 10 {
				t.Errorf("%s is %q, too short to be looked for", name, part)
			}
			if bytes.Contains(kept, []byte(part)) {
				t.Errorf("%s is kept as it is", name)
			}
		}
	}
}

// TestStaleTokenIsIgnored: clients send the token that they have with whatever they ask, also where none is asked for
// (AMB-20).
func TestStaleTokenIsIgnored(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	old := h.Login("alice", house.Object{"refresh_token": true})
	h.Logout(old.AccessToken).Want(t, http.StatusOK, "")
	for name, token := range map[string]string{"of a session that has ended": old.AccessToken, "that is none": "mct_nothing", "that is a refresh token": old.RefreshToken} {
		t.Run(name, func(t *testing.T) {
			s := h.SignedIn(h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Bearer: token,
				Body: house.LoginBody("alice", house.AlicesPassword, house.Object{"refresh_token": true})}))
			h.SignedIn(h.Do(house.Call{Method: http.MethodPost, Path: house.RefreshPath, Bearer: token, Body: house.JSON(house.Object{"refresh_token": s.RefreshToken})}))
			h.Do(house.Call{Path: house.LoginPath, Bearer: token}).Shows(t, http.StatusOK, "m.login.password")
		})
	}
}

// TestHintTellsNothing: what a client says of whom it expects is no question about accounts: the page is the same, and
// costs the same, whether there is such an account or not (ENUM-3).
func TestHintTellsNothing(t *testing.T) {
	h := house.WithApp(t)
	h.Prove("app")
	shown := func(hint string) (string, house.Cost) {
		v := h.Browser()
		a := v.Authorize(house.Params("app", "login_hint", hint))
		_, to, _ := strings.Cut(a.Header.Get("Location"), "://")
		if to == "" {
			to = a.Header.Get("Location")
		}
		page, cost := h.Measure(house.Call{Path: to})
		for range 3 { // to the page for signing in
			if page.Status != http.StatusSeeOther {
				break
			}
			page, cost = h.Measure(house.Call{Path: page.Header.Get("Location")})
		}
		page.WantPage(t, http.StatusOK, "Sign in")
		return strings.ReplaceAll(house.Shown(page), hint, "HINT"), cost
	}
	for _, hints := range [][2]string{{"alice", "nobody"}, {"mxid:@alice:" + house.ServerName, "mxid:@nobody:" + house.ServerName}} {
		there, cost := shown(hints[0])
		nowhere, same := shown(hints[1])
		if there != nowhere || cost != same {
			t.Errorf("%q and %q differ: %v and %v\n%s\n%s", hints[0], hints[1], cost, same, there, nowhere)
		}
	}
}
