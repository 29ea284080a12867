// Package doctor looks at a running server from its own point of view, and at Synapse's configuration, and says
// what is wrong, where, and what to change. It changes nothing, and no finding holds a secret.
package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/backup"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/edge"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Examination is what the doctor needs to know beyond the configuration.
type Examination struct {
	// SynapseEndpoint is the address that Synapse should have for us.
	SynapseEndpoint string `json:"synapse_endpoint"`
	// Authorities are certificates in PEM that are trusted beside those of the machine.
	Authorities string `json:"authorities,omitempty"`
	// CheckDatabase has all of the database be read.
	CheckDatabase bool `json:"check_database,omitempty"`
}

// Diagnosis is what the doctor found.
type Diagnosis struct {
	// SynapseVersion is empty if Synapse did not tell.
	SynapseVersion string    `json:"synapse_version,omitempty"`
	Findings       []Finding `json:"findings"`
	// Comparable reports whether Synapse and we reach one another, so that accounts can be compared.
	Comparable bool `json:"comparable"`
}

// Config is what the doctor looks at.
type Config struct {
	Store  *store.Store
	Outbox *outbox.Outbox
	Seal   *seal.Keeper
	Keys   *tokenkey.Ring
	// Backups are nil if none are configured.
	Backups    *backup.Backups
	Homeserver *homeserver.Client
	// Letters sends mails, and MailVia is the mail server, or the command, that takes them.
	Letters *notify.Letters
	MailVia string
	// HeldBack returns when a session was last kept from ending because too many devices are missing at the homeserver;
	// zero if none was lately.
	HeldBack func() time.Time
	// Probes knows which of the doctor's tokens the homeserver asked about.
	Probes *Probes
	// Issuer is our public address as it was configured, and Public where the paths of endpoints are.
	Issuer string
	Public edge.Issuer
	// ServerName is the homeserver's name in Matrix ids, and Endpoint where we reach the homeserver.
	ServerName, Endpoint string
	// SecretFile is the path of the secret that is generated beside the database.
	SecretFile string
	// Sites tells the sites that the embedding server has. It may be nil.
	Sites func() []Site
	// Surroundings tells what there is to say of the embedding server itself. It may be nil.
	Surroundings func() []Finding
}

// Visit is one examination of a running server from its own point of view. Its methods look at one thing each,
// and note what they find.
type Visit struct {
	Config
	Examination
	// Findings are what was found so far.
	Findings []Finding

	client *http.Client
	// named reports whether something answers at the server name's host.
	named bool
}

// requestTimeout bounds each request of an examination.
const requestTimeout = 10 * time.Second

// Begin begins an examination. Errors: InvalidParam for authorities that are none.
func (c Config) Begin(e Examination) (*Visit, error) {
	client, err := newClient(e.Authorities)
	if err != nil {
		return nil, err
	}
	return &Visit{Config: c, Examination: e, client: client}, nil
}

// End lets go of what an examination holds.
func (d *Visit) End() { d.client.CloseIdleConnections() }

// Examine looks at everything.
func (c Config) Examine(ctx context.Context, e Examination) (Diagnosis, error) {
	d, err := c.Begin(e)
	if err != nil {
		return Diagnosis{}, err
	}
	defer d.End()
	d.Database(ctx)
	d.Files()
	d.SealedValues(ctx)
	d.TokenKeys(ctx)
	d.LostSessions(ctx)
	d.MissingDevices()
	d.LookAtBackups()
	d.WaitingJobs(ctx)
	d.Mail(ctx)
	version, up := d.Version(ctx)
	comparable := false
	if up {
		before := len(d.Findings)
		d.OurCall(ctx)
		d.TheirCall(ctx)
		comparable = !slices.ContainsFunc(d.Findings[before:], func(f Finding) bool { return !f.OK })
	}
	d.Routes(ctx)
	d.Guard(ctx)
	d.WellKnown(ctx)
	d.Hosts(ctx)
	// Last, as what the requests before show counts too.
	if d.Surroundings != nil {
		d.Findings = append(d.Findings, d.Surroundings()...)
	}
	return Diagnosis{SynapseVersion: version, Findings: d.Findings, Comparable: comparable}, nil
}

// at returns the path of an endpoint of ours at the issuer's host.
func (d *Visit) at(e web.Endpoint) string { return d.Public.PathOf(e) }

// newClient follows no redirects: where one leads is not what was asked about.
func newClient(authorities string) (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the machine's certificates: %w", err)
	}
	if authorities != "" && !pool.AppendCertsFromPEM([]byte(authorities)) {
		return nil, model.Errorf(model.InvalidParam, "the file of certificate authorities holds no certificate")
	}
	return &http.Client{
		Timeout:       requestTimeout,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func (d *Visit) good(check, format string, args ...any) {
	d.Findings = append(d.Findings, Well(check, format, args...))
}

func (d *Visit) bad(check, fault, what, where, change string) {
	d.Findings = append(d.Findings, Wrong(check, fault, what, where, change))
}
