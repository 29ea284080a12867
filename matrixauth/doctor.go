package matrixauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

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
	// Comparable reports whether Synapse and we reach one another, so that accounts can be compared.
	Comparable bool `json:"comparable"`
}

// doctor is one examination.
type doctor struct {
	*Server
	Examination
	client *http.Client
	// named reports whether something answers at the server name's host.
	named    bool
	findings []Finding
}

// doctorTimeout bounds each request of an examination.
const doctorTimeout = 10 * time.Second

func (s *Server) examine(ctx context.Context, _ model.Actor, e Examination) (Diagnosis, error) {
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
	d.lookAtHosts(ctx)
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
		return nil, model.Errorf(model.InvalidParam, "the file of certificate authorities holds no certificate")
	}
	return &http.Client{
		Timeout:       doctorTimeout,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func (d *doctor) good(check, format string, args ...any) {
	d.findings = append(d.findings, Well(check, format, args...))
}

func (d *doctor) bad(check, fault, what, where, change string) {
	d.findings = append(d.findings, Wrong(check, fault, what, where, change))
}
