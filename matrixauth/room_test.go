package matrixauth

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestFloodOfRequests: somebody makes requests and registrations in masses, without end. Who has just been
// sent here by an app, and who has one of our pages before their eyes, signs in all the same, and what is
// kept is bounded (ENUM-4, REG-29).
func TestFloodOfRequests(t *testing.T) {
	h := newOAuthHouse(t)
	app := h.enroll(object{"client_uri": "https://app.example.org", "redirect_uris": []string{webCallback}})
	atLogin, atConsent := h.guest(), h.signedInAs("alice")
	atLogin.ip = homeIP
	atLogin.get(authorizePath + "?" + params(app).Encode())
	loginPage := atLogin.follow().header.Get("Location")
	atLogin.get(loginPage).wantPage(t, http.StatusOK, "Sign in")
	consent := atConsent.request(params(app, "scope", model.ScopeAPI+" "+model.ScopeDevicePrefix+"TABLET"))
	atConsent.get(consentPath+"?request="+consent).shows(t, http.StatusOK, `name="answer"`)
	waiting := h.guest()
	waiting.ip = hotelIP
	waiting.get(authorizePath + "?" + params(app, "scope", model.ScopeAPI+" "+model.ScopeDevicePrefix+"LAPTOP").Encode())

	h.flood(20_000)
	if size := h.size(); size > 100<<20 {
		t.Errorf("the database has %d MB", size>>20)
	}

	atLogin.get(loginPage).wantPage(t, http.StatusOK, "Sign in")
	location := atLogin.post(loginPage, "username", "alice", "password", alicesPassword).header.Get("Location")
	atLogin.get(location).shows(t, http.StatusOK, `name="answer"`)
	h.tokens(h.exchange(app, atConsent.code(atConsent.submit(consentPath, "request", consent, "answer", "continue"))))
	waiting.get(waiting.at.header.Get("Location"))
	waiting.get(waiting.at.header.Get("Location")).wantPage(t, http.StatusOK, "Sign in")
	if n := h.count("authorizations WHERE user_id IS NOT NULL AND network <> ''") + h.count("clients WHERE proven_at IS NOT NULL AND network <> ''"); n != 0 {
		t.Errorf("%d rows of what was approved tell from where it came", n)
	}
}

// flood makes requests and registrations from one network, beside the rates that would keep it from that for days.
func (h *house) flood(count int) {
	h.t.Helper()
	h.must(h.store.Update(h.t.Context(), func(tx *store.Tx) error {
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

// size is that of the database in bytes, without what is free in it.
func (h *house) size() int {
	h.t.Helper()
	return (h.pragma("page_count") - h.pragma("freelist_count")) * h.pragma("page_size")
}

// TestRegistrationHolds: a registration to which nobody consented counts for who made it last, so that who
// makes that of a well-known app first, among thousands, cannot have it crowded out under those who use it.
func TestRegistrationHolds(t *testing.T) {
	h := newHouse(t, registrations(many))
	register := func(ip string) string {
		t.Helper()
		a := h.do(call{method: http.MethodPost, path: registrationURL, ip: ip, body: webClient(nil)})
		a.shows(t, http.StatusCreated, "client_id")
		id, _ := a.document(t)["client_id"].(string)
		return id
	}
	id := register("203.0.113.1")
	if again := register(homeIP); again != id {
		t.Fatalf("the same registration is %s and %s", id, again)
	}
	h.flood(10_000)
	if n := h.count("clients WHERE id = ?1 AND network = ?2", id, model.Site(homeIP)); n != 1 {
		t.Error("the registration was crowded out")
	}
	if h.count("clients WHERE id LIKE 'flood%'") > 5000 {
		t.Error("nothing gave way")
	}
}
