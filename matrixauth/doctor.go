package matrixauth

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Finding is the result of one check of the doctor.
type Finding struct {
	// Check names what was looked at.
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	// What says in a sentence what was found; Where names the place, and Change what to write there.
	// The two are empty if all is well.
	What   string `json:"what"`
	Where  string `json:"where,omitempty"`
	Change string `json:"change,omitempty"`
	// Difference is what a finding of the comparison with Synapse is about; nil for any other check.
	Difference *Difference `json:"difference,omitempty"`
}

// Examination is what the doctor needs to know beyond the configuration.
type Examination struct {
	// SynapseEndpoint is the address that Synapse should have for us.
	SynapseEndpoint string `json:"synapse_endpoint"`
	// Authorities are certificates in PEM that are trusted beside those of the machine.
	Authorities string `json:"authorities,omitempty"`
}

// Diagnosis is what the doctor found.
type Diagnosis struct {
	// SynapseVersion is empty if Synapse did not tell.
	SynapseVersion string    `json:"synapse_version,omitempty"`
	Findings       []Finding `json:"findings"`
	// Comparable tells that Synapse and we reach one another, so that accounts can be compared.
	Comparable bool `json:"comparable"`
}

// Examine looks at a running server from its own point of view.
var Examine = newAction("doctor", (*Server).examine)

// doctor is one examination.
type doctor struct {
	*Server
	Examination
	client   *http.Client
	findings []Finding
}

// doctorTimeout bounds each request of an examination.
const doctorTimeout = 10 * time.Second

func (s *Server) examine(ctx context.Context, e Examination) (Diagnosis, error) {
	client, err := doctorClient(e.Authorities)
	if err != nil {
		return Diagnosis{}, err
	}
	defer client.CloseIdleConnections()
	d := &doctor{Server: s, Examination: e, client: client}
	d.lookAtStore(ctx)
	d.lookAtPlace()
	d.lookAtOutbox(ctx)
	version, up := d.lookAtVersion(ctx)
	comparable := false
	if up {
		before := len(d.findings)
		d.lookAtOurCall(ctx)
		d.lookAtTheirCall(ctx)
		comparable = !slices.ContainsFunc(d.findings[before:], func(f Finding) bool { return !f.OK })
	}
	d.lookAtRoutes(ctx)
	d.lookAtGuard(ctx)
	d.lookAtWellKnown(ctx)
	// Last, as what the requests before show counts too.
	if s.deps.Surroundings != nil {
		d.findings = append(d.findings, s.deps.Surroundings()...)
	}
	return Diagnosis{SynapseVersion: version, Findings: d.findings, Comparable: comparable}, nil
}

// doctorClient follows no redirects: where one leads is not what was asked about.
func doctorClient(authorities string) (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the machine's certificates: %w", err)
	}
	if authorities != "" && !pool.AppendCertsFromPEM([]byte(authorities)) {
		return nil, &model.Error{Kind: model.Invalid, Code: model.InvalidParam, Text: "the file of certificate authorities holds no certificate"}
	}
	return &http.Client{
		Timeout:       doctorTimeout,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func (d *doctor) good(check, format string, args ...any) {
	d.findings = append(d.findings, Finding{Check: check, OK: true, What: fmt.Sprintf(format, args...)})
}

func (d *doctor) bad(check, what, where, change string) {
	d.findings = append(d.findings, Finding{Check: check, What: what, Where: where, Change: change})
}

func (d *doctor) lookAtStore(ctx context.Context) {
	const check = "database"
	err := d.core.store.Check(ctx)
	schema := int64(0)
	if err == nil {
		schema, err = d.core.store.Schema(ctx)
	}
	if err != nil {
		d.bad(check, "the database does not answer: "+err.Error(), d.core.Database(), "restore a backup, or look at the disk")
		return
	}
	d.good(check, "%s answers, schema %d", d.core.Database(), schema)
}

// patience is how old a job may be before it is a finding.
const patience = 2 * time.Minute

func (d *doctor) lookAtOutbox(ctx context.Context) {
	const check = "outbox"
	state, err := d.core.outbox.State(ctx)
	var aside []model.Job
	if err == nil {
		err = d.core.store.View(ctx, func(tx *store.Tx) (err error) {
			aside, err = tx.JobsSetAside(20)
			return err
		})
	}
	if err != nil {
		d.bad(check, "the outbox cannot be read: "+err.Error(), d.core.Database(), "restore a backup, or look at the disk")
		return
	}
	for _, job := range aside {
		d.bad(check, fmt.Sprintf("job %d (%s, user %s) was refused by Synapse for good: %s", job.Position, job.Kind, job.Lane, job.LastError),
			d.core.Database(), "mend the cause and repeat the change by its command; the note goes after 30 days")
	}
	age := time.Duration(0)
	if !state.Oldest.IsZero() {
		age = d.core.store.Now().Sub(state.Oldest)
	}
	if age > patience {
		d.bad(check, fmt.Sprintf("%d jobs wait for Synapse, the oldest for %s; its last failure: %s", state.Waiting, age.Round(time.Second), state.LastError),
			d.config.Endpoint, "they go on by themselves once Synapse takes them")
		return
	}
	if len(aside) == 0 {
		d.good(check, "%d jobs wait, none was refused", state.Waiting)
	}
}

func (d *doctor) lookAtVersion(ctx context.Context) (version string, up bool) {
	const check = "synapse version"
	found, err := d.homeserver.Version(ctx)
	var e *homeserver.Error
	switch {
	case err == nil && found.Less(homeserver.SafeVersion):
		d.bad(check, fmt.Sprintf("Synapse %s answers, and has security holes that %s closed", found, homeserver.SafeVersion), d.config.Endpoint, "upgrade Synapse")
		return found.String(), true
	case err == nil:
		d.good(check, "Synapse %s answers at %s", found, d.config.Endpoint)
		return found.String(), true
	case errors.As(err, &e) && e.Reason == homeserver.TooOld:
		d.bad(check, fmt.Sprintf("Synapse %s is too old; %s is the first that can delegate logins to us", found, homeserver.MinVersion), d.config.Endpoint, "upgrade Synapse")
		return found.String(), true
	}
	d.bad(check, "Synapse does not answer: "+err.Error(), "endpoint "+d.config.Endpoint+" in the Caddyfile", "start Synapse, or write the address of its client listener: endpoint http://localhost:8008")
	return "", false
}

// lookAtOurCall proves our secret to Synapse, and compares the server name if there is an account to
// ask about.
func (d *doctor) lookAtOurCall(ctx context.Context) {
	const check = "our call to synapse"
	localpart := ""
	err := d.core.store.View(ctx, func(tx *store.Tx) error {
		users, err := tx.Users("", 1)
		if err == nil && len(users) > 0 {
			localpart = users[0].Localpart
		}
		return err
	})
	if err != nil {
		d.bad(check, "the accounts cannot be read: "+err.Error(), d.core.Database(), "restore a backup, or look at the disk")
		return
	}
	asked := localpart
	if asked == "" {
		asked = "nobody"
	}
	_, err = d.homeserver.QueryUser(ctx, asked)
	var e *homeserver.Error
	if err == nil {
		d.good(check, "Synapse knows our secret, and its server_name is %s", d.config.ServerName)
		return
	}
	if !errors.As(err, &e) {
		d.bad(check, err.Error(), d.config.Endpoint, "see the server's log")
		return
	}
	switch e.Reason {
	case homeserver.UnknownUser:
		d.good(check, "Synapse knows our secret; the server name can be compared once it has an account of ours")
	case homeserver.RefusedSecret:
		d.bad(check, "Synapse has another secret than we", "matrix_authentication_service in homeserver.yaml", "write there the secret that \"caddy matrix-auth synapse-config\" prints, and restart Synapse")
	case homeserver.TooOld:
		d.bad(check, "Synapse does not serve /_synapse/mas/: its logins are not delegated", "homeserver.yaml", "add the block that \"caddy matrix-auth synapse-config\" prints, and restart Synapse")
	case homeserver.OtherServerName:
		d.bad(check, "Synapse has another server_name: "+err.Error(), "matrix_auth "+d.config.ServerName+" in the Caddyfile", "write the server_name of homeserver.yaml")
	default:
		d.bad(check, err.Error(), d.config.Endpoint, "see the logs of Synapse")
	}
}

// lookAtTheirCall sends a bogus token through Synapse and sees whether Synapse asks us about it, and
// with which secret.
func (d *doctor) lookAtTheirCall(ctx context.Context) {
	const check = "synapse's call to us"
	const block = "matrix_authentication_service in homeserver.yaml"
	endpoint := fmt.Sprintf("endpoint: %q", d.SynapseEndpoint)
	token := oauth.ProbePrefix + rand.Text()
	answer, err := d.get(ctx, d.config.Endpoint, "/_matrix/client/v3/account/whoami", token)
	if err != nil {
		d.bad(check, "Synapse's client API does not answer: "+err.Error(), "endpoint "+d.config.Endpoint+" in the Caddyfile", "write the address of Synapse's client listener")
		return
	}
	probe, asked := d.core.probes.find(token)
	switch {
	case asked && probe.SecretOK:
		d.good(check, "Synapse asks us about tokens, with our secret")
	case asked:
		d.bad(check, "Synapse asks us with another secret", block, "write there the secret that \"caddy matrix-auth synapse-config\" prints, and restart Synapse")
	case answer.status == http.StatusServiceUnavailable:
		d.bad(check, "Synapse wants to ask somebody about tokens and gets no proper answer; it did not reach us", block, endpoint)
	case answer.status == http.StatusUnauthorized:
		d.bad(check, "Synapse judges tokens without asking us: its logins are not delegated, or to somebody else", block, "enabled: true, "+endpoint)
	default:
		d.bad(check, fmt.Sprintf("Synapse answers with status %d and does not ask us", answer.status), d.config.Endpoint, endpoint)
	}
}

// lookAtRoutes asks the public address what clients ask, and tells our answers from Synapse's.
func (d *doctor) lookAtRoutes(ctx context.Context) {
	const check = "public routes"
	issuer, err := url.Parse(d.config.base())
	if err != nil {
		d.bad(check, err.Error(), "issuer", "write an address")
		return
	}
	origin := issuer.Scheme + "://" + issuer.Host
	const change = "let all of the site's requests pass matrix_auth before any reverse_proxy, also those of a proxy in front of Caddy"
	login, err := d.get(ctx, origin, "/_matrix/client/v3/login", "")
	if err != nil {
		d.bad(check, "the issuer's address cannot be reached: "+explain(err), "issuer "+d.config.Issuer, "see that its name resolves to this machine, that its port is open, and that its certificate is trusted (--ca-file for one of your own)")
		return
	}
	if !d.isOurLogin(login) {
		d.bad(check, "GET /_matrix/client/v3/login is answered by somebody else", origin, change)
		return
	}
	logout, err := d.send(ctx, http.MethodPost, origin, "/_matrix/client/v3/logout", oauth.ProbePrefix+"logout")
	if err != nil || logout.status != http.StatusUnauthorized {
		d.bad(check, "POST /_matrix/client/v3/logout is answered by somebody else", origin, change)
		return
	}
	if metadata, err := d.get(ctx, origin, "/_matrix/client/v1/auth_metadata", ""); err != nil || metadata.text("token_endpoint") != d.config.base()+oauth.TokenPath {
		d.bad(check, "auth_metadata, by which clients find the way to sign in, is answered by somebody else", origin, change)
		return
	}
	if own, err := d.get(ctx, origin, issuer.Path+discoveryPath, ""); err != nil || own.text("issuer") != d.config.base() {
		d.bad(check, "the discovery document at the issuer is not ours", d.config.base()+discoveryPath, change)
		return
	}
	d.good(check, "login, logout, auth_metadata and discovery at %s reach us", origin)
}

// lookAtGuard tries the homeserver's API for us from outside, with a secret that is none, also below a
// path that somebody on the way may take off. Our refusal is the only answer that is well: any other
// came from whom the guard is to keep strangers from, or says that it was not asked. Whoever is not let
// in at all by a proxy in front of us is well too.
func (d *doctor) lookAtGuard(ctx context.Context) {
	const check = "guard"
	issuer, err := url.Parse(d.config.base())
	if err != nil {
		return // lookAtRoutes says so
	}
	origin := issuer.Scheme + "://" + issuer.Host
	for _, prefix := range []string{"", "/matrix-auth-doctor", "/matrix-auth-doctor%2F..%2F"} {
		path := prefix + "/_synapse/mas/query_user?localpart=nobody"
		answer, err := d.get(ctx, origin, path, oauth.ProbePrefix+"secret")
		if err != nil {
			return // lookAtRoutes says so
		}
		if errcode := answer.text("errcode"); answer.status == http.StatusNotFound && errcode == refusal || errcode == "" && isRefusal(answer.status) {
			continue
		}
		d.bad(check, fmt.Sprintf("Synapse's API for us is open: %s is answered with status %d %s", path, answer.status, answer.text("errcode")), origin,
			"let all of the site's requests pass matrix_auth before any reverse_proxy, and take no path prefix off before it")
		return
	}
	d.good(check, "Synapse's API for us is closed at %s", origin)
}

// refusal is the errcode of our refusal at the edge. Synapse refuses a wrong secret with another.
const refusal = "M_UNRECOGNIZED"

// isRefusal tells the statuses with which a proxy keeps somebody from a path.
func isRefusal(status int) bool {
	return status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusMethodNotAllowed
}

// isOurLogin tells our answer to GET /login: exactly the flows that we serve.
func (d *doctor) isOurLogin(a doctorAnswer) bool {
	flows, ok := a.body["flows"].([]any)
	if !ok || a.status != http.StatusOK || len(flows) != 1 {
		return false
	}
	flow, ok := flows[0].(map[string]any)
	return ok && len(flow) == 1 && flow["type"] == "m.login.password"
}

// lookAtWellKnown follows the way of a client that is given only the server name.
func (d *doctor) lookAtWellKnown(ctx context.Context) {
	const check = "well-known"
	const path = "/.well-known/matrix/client"
	where := "https://" + d.config.ServerName + path
	change := fmt.Sprintf(`serve there {"m.homeserver":{"base_url":%q}} with the header Access-Control-Allow-Origin: *`, strings.TrimSuffix(d.config.Issuer, "/"))
	answer, err := d.get(ctx, "https://"+d.config.ServerName, path, "")
	if err != nil {
		d.bad(check, "clients that are given only the server name do not find this homeserver: "+explain(err), where, change)
		return
	}
	home, _ := answer.body["m.homeserver"].(map[string]any)
	base, _ := home["base_url"].(string)
	if answer.status != http.StatusOK || base == "" {
		d.bad(check, fmt.Sprintf("the document is not there (status %d)", answer.status), where, change)
		return
	}
	if answer.header.Get("Access-Control-Allow-Origin") != "*" {
		d.bad(check, "the document lacks the header that lets web clients read it", where, "Access-Control-Allow-Origin: *")
		return
	}
	login, err := d.get(ctx, strings.TrimSuffix(base, "/"), "/_matrix/client/v3/login", "")
	if err != nil || !d.isOurLogin(login) {
		d.bad(check, fmt.Sprintf("it sends clients to %s, where we do not answer", base), where, change)
		return
	}
	d.good(check, "%s leads to us", where)
}

// doctorAnswer is an answer that the doctor looks at.
type doctorAnswer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a doctorAnswer) text(name string) string {
	text, _ := a.body[name].(string)
	return text
}

func (d *doctor) get(ctx context.Context, base, path, token string) (doctorAnswer, error) {
	return d.send(ctx, http.MethodGet, base, path, token)
}

// maxDoctorAnswer bounds what the doctor reads of an answer, in bytes.
const maxDoctorAnswer = 64 << 10

func (d *doctor) send(ctx context.Context, method, base, path, token string) (doctorAnswer, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, nil)
	if err != nil {
		return doctorAnswer{}, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := d.client.Do(request)
	if err != nil {
		return doctorAnswer{}, err
	}
	defer response.Body.Close()
	answer := doctorAnswer{status: response.StatusCode, header: response.Header}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDoctorAnswer))
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(text, &answer.body); err != nil {
		answer.body = nil // an answer that is no JSON object is somebody else's, and is judged as such
	}
	return answer, nil
}

// explain says a failure of the network without the address, which the finding names.
func explain(err error) string {
	var address *url.Error
	if errors.As(err, &address) {
		err = address.Err
	}
	return err.Error()
}
