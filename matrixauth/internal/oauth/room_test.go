package oauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/sqlite"
)

// TestFloodOfRequests: somebody makes requests and registrations in masses, without end. Who has just been
// sent here by an app, and who has one of our pages before their eyes, signs in all the same, and what is
// kept is bounded (ENUM-4, REG-29).
func TestFloodOfRequests(t *testing.T) {
	h := house.WithApp(t)
	app := h.Enroll(house.Object{"client_uri": "https://app.example.org", "redirect_uris": []string{house.WebCallback}})
	atLogin, atConsent := h.Browser(), h.SignedInAs("alice")
	atLogin.IP = house.HomeIP
	atLogin.Get(house.AuthorizePath + "?" + house.Params(app).Encode())
	loginPage := atLogin.Follow().Header.Get("Location")
	atLogin.Get(loginPage).WantPage(t, http.StatusOK, "Sign in")
	consent := atConsent.Request(house.Params(app, "scope", model.ScopeAPI+" "+model.ScopeDevicePrefix+"TABLET"))
	atConsent.Get(house.ConsentPath+"?request="+consent).Shows(t, http.StatusOK, `name="answer"`)
	waiting := h.Browser()
	waiting.IP = house.HotelIP
	waiting.Get(house.AuthorizePath + "?" + house.Params(app, "scope", model.ScopeAPI+" "+model.ScopeDevicePrefix+"LAPTOP").Encode())

	flood(h, flooding)
	if size := sqlite.Size(t, h.File); size > 2*(bound.WaitingRequests+bound.UnprovenClients) {
		t.Errorf("the database has %d MB", size>>20)
	}

	atLogin.Get(loginPage).WantPage(t, http.StatusOK, "Sign in")
	location := atLogin.Post(loginPage, "username", "alice", "password", house.AlicesPassword).Header.Get("Location")
	atLogin.Get(location).Shows(t, http.StatusOK, `name="answer"`)
	h.Tokens(h.Exchange(app, atConsent.Code(atConsent.Submit(house.ConsentPath, "request", consent, "answer", "continue"))))
	waiting.Get(waiting.At.Header.Get("Location"))
	waiting.Get(waiting.At.Header.Get("Location")).WantPage(t, http.StatusOK, "Sign in")
	if n := h.Count("authorizations WHERE user_id IS NOT NULL AND network <> ''") + h.Count("clients WHERE proven_at IS NOT NULL AND network <> ''"); n != 0 {
		t.Errorf("%d rows of what was approved tell from where it came", n)
	}
}

// flooding is how many rows of each kind a flood has: more than twice as many as there is room for.
const flooding = 6000

// flood makes requests and registrations from one network, beside the rates that would keep it from that for days.
func flood(h *house.House, count int) {
	h.T.Helper()
	h.Must(h.Store.Update(h.T.Context(), func(tx *store.Tx) error {
		for i := range count {
			id := fmt.Sprint("flood", i)
			c := model.Client{ID: id, CreatedAt: tx.Now, Network: "203.0.113.1", Metadata: model.ClientMetadata{URI: "https://flood.example.com", Name: strings.Repeat("f", 5000)}}
			if err := tx.InsertClient(c, model.HashToken(id)); err != nil {
				return err
			}
			request := model.Request{Delivery: model.Delivery{Redirect: model.Redirect{State: strings.Repeat("s", 4000)}}}
			if err := tx.InsertAuthorization(model.Authorization{ID: id, ClientID: id, Network: "203.0.113.1", CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(1 << 40), Request: request}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestRegistrationHolds: a registration to which nobody consented counts for who made it last, so that who
// makes that of a well-known app first, among thousands, cannot have it crowded out under those who use it.
func TestRegistrationHolds(t *testing.T) {
	h := house.New(t, house.Registrations(house.NoLimit))
	register := func(ip string) string {
		t.Helper()
		a := h.Do(house.Call{Method: http.MethodPost, Path: house.RegistrationPath, IP: ip, Body: house.WebClient(nil)})
		a.Shows(t, http.StatusCreated, "client_id")
		id, _ := a.Document(t)["client_id"].(string)
		return id
	}
	id := register("203.0.113.1")
	if again := register(house.HomeIP); again != id {
		t.Fatalf("the same registration is %s and %s", id, again)
	}
	flood(h, flooding)
	if n := h.Count("clients WHERE id = ?1 AND network = ?2", id, model.Site(house.HomeIP)); n != 1 {
		t.Error("the registration was crowded out")
	}
	if h.Count("clients WHERE id LIKE 'flood%'") > flooding/2 {
		t.Error("nothing gave way")
	}
}
