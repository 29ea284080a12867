//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The pair of RFC 7636 appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	callback  = "https://app.example.org/callback"
)

// oauthRows measures the OAuth API against the same yardsticks.
func oauthRows(t *testing.T, table *table, s server) {
	raw := rawCommits(t, t.TempDir(), during)
	client := register(t, s, "Bench")
	plain := load(t, s.address(), connections, during, func(*rand.Rand) []byte { return get(s.address(), "/yardstick") })
	metadata := load(t, s.address(), connections, during, func(*rand.Rand) []byte { return get(s.address(), "/_matrix/client/v1/auth_metadata") })
	table.row(fmt.Sprintf("metadata (%.0f/s) against respond (%.0f/s)", metadata.perSecond, plain.perSecond), ratio(metadata.perSecond, plain.perSecond), "")

	again := timed(t, connections, func(int) { register(t, s, "Bench") })
	fresh := timed(t, connections, func(n int) { register(t, s, fmt.Sprintf("Bench %d", n)) })
	table.row(fmt.Sprintf("registration of a known client (%.0f/s) against respond", again), ratio(again, plain.perSecond), "")
	table.row(fmt.Sprintf("registration of a new client (%.0f/s) against bare commits (%.0f/s)", fresh, raw), ratio(fresh, raw), "")

	people := make([]*person, connections)
	for i := range people {
		people[i] = signIn(t, s, i, client)
	}
	flows := timed(t, connections, func(n int) { people[n%connections].flow(t) })
	table.row(fmt.Sprintf("code flow, %d at once (%.0f/s) against bare commits", connections, flows), ratio(flows, raw), "")

	refreshes(t, table, s, "OAuth refresh", chain{
		begin: func(_ net.Conn, _ *bufio.Reader, client int) (login, error) {
			people[client].flow(t)
			return login{people[client].access, people[client].refreshing}, nil
		},
		next: func(_ int, tokens login) []byte {
			form := url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {tokens.RefreshToken}}
			return post(s.address(), "/oauth2/token", "application/x-www-form-urlencoded", "", []byte(form.Encode()))
		},
	})
	introspection(t, table, s, "introspection of OAuth tokens", func(r *rand.Rand) string { return people[r.IntN(len(people))].access })
}

// timed has clients do something again and again and gives how often all of them did in a second. Each
// client's numbers are its own, so that no two are at the same one at once.
func timed(t *testing.T, clients int, act func(n int)) float64 {
	t.Helper()
	var group sync.WaitGroup
	var count atomic.Int64
	start := time.Now()
	for i := range clients {
		group.Go(func() {
			for n := i; time.Since(start) < during && !t.Failed(); n += clients {
				act(n)
				count.Add(1)
			}
		})
	}
	group.Wait()
	return float64(count.Load()) / time.Since(start).Seconds()
}

var plainClient = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 2 * connections},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// exchange sends a request and gives the answer with its whole body.
func exchange(t *testing.T, c *http.Client, method, address, kind string, body []byte) (*http.Response, []byte) {
	request, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return &http.Response{}, nil
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	// Each request comes from a network of its own: limits are not what is measured.
	request.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", rand.N(256), rand.N(256), rand.N(256)))
	answer, err := c.Do(request)
	if err != nil {
		t.Error(err)
		return &http.Response{}, nil
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= http.StatusBadRequest {
		t.Errorf("%s %s: %d %s %v", method, address, answer.StatusCode, text, err)
	}
	return answer, text
}

func register(t *testing.T, s server, name string) (id string) {
	body := fmt.Appendf(nil, `{"client_name":%q,"client_uri":"https://app.example.org/","redirect_uris":[%q],"token_endpoint_auth_method":"none",
		"grant_types":["authorization_code","refresh_token"],"response_types":["code"]}`, name, callback)
	_, text := exchange(t, plainClient, http.MethodPost, s.URL+"/oauth2/registration", "application/json", body)
	var registered struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal(text, &registered); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return registered.ID
}

// person is a user with a browser and an app.
type person struct {
	server  server
	browser *http.Client
	client  string
	number  int

	access, refreshing string
}

var formToken = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (p *person) form(t *testing.T, path string, page []byte, fields url.Values) (*http.Response, []byte) {
	if found := formToken.FindSubmatch(page); found != nil {
		fields.Set("csrf", html.UnescapeString(string(found[1])))
	}
	return exchange(t, p.browser, http.MethodPost, p.server.URL+path, "application/x-www-form-urlencoded", []byte(fields.Encode()))
}

// signIn has a user sign in at our pages and consent once, so that later flows ask nothing.
func signIn(t *testing.T, s server, number int, client string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{server: s, client: client, number: number, browser: &http.Client{Transport: plainClient.Transport, CheckRedirect: plainClient.CheckRedirect, Jar: jar}}
	_, page := exchange(t, p.browser, http.MethodGet, s.URL+"/account/login", "", nil)
	p.form(t, "/account/login", page, url.Values{"username": {fmt.Sprintf("bench%d", number)}, "password": {peoplesPassword}})
	consent := p.authorize(t)
	_, page = exchange(t, p.browser, http.MethodGet, s.URL+consent, "", nil)
	_, id, _ := strings.Cut(consent, "request=")
	answer, _ := p.form(t, "/account/consent", page, url.Values{"request": {id}, "answer": {"continue"}})
	p.redeem(t, answer)
	return p
}

func (p *person) authorize(t *testing.T) (location string) {
	query := url.Values{
		"response_type": {"code"}, "client_id": {p.client}, "redirect_uri": {callback}, "state": {"state"},
		"scope":          {fmt.Sprintf("urn:matrix:client:api:* urn:matrix:client:device:OAUTH%d", p.number)},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	answer, _ := exchange(t, p.browser, http.MethodGet, p.server.URL+"/authorize?"+query.Encode(), "", nil)
	return answer.Header.Get("Location")
}

func (p *person) redeem(t *testing.T, answer *http.Response) {
	back, err := url.Parse(answer.Header.Get("Location"))
	if err != nil {
		t.Error(err)
		return
	}
	p.token(t, url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}})
}

func (p *person) token(t *testing.T, form url.Values) {
	form.Set("client_id", p.client)
	_, text := exchange(t, plainClient, http.MethodPost, p.server.URL+"/oauth2/token", "application/x-www-form-urlencoded", []byte(form.Encode()))
	var tokens login
	if err := json.Unmarshal(text, &tokens); err != nil || tokens.AccessToken == "" {
		t.Errorf("%s: %v", text, err)
		return
	}
	p.access, p.refreshing = tokens.AccessToken, tokens.RefreshToken
}

// flow is one sign-in to an app of a user who consented before: from its link to its tokens.
func (p *person) flow(t *testing.T) {
	answer, _ := exchange(t, p.browser, http.MethodGet, p.server.URL+p.authorize(t), "", nil)
	p.redeem(t, answer)
}
