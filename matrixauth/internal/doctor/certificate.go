package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// certificate adds a finding about a site's certificate, if that is why nothing was answered. It
// reports false if it is not.
func (d *Visit) certificate(err error, where string) bool {
	const check = "certificate"
	var (
		name      x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		remote    *net.OpError
		plain     tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &name):
		d.bad(check, "other-name", fmt.Sprintf("the certificate is not for %s", name.Host), where, "get one for that name: Caddy does for each site that it serves by name")
	case errors.As(err, &authority):
		d.bad(check, "unknown-authority", "the certificate is from an authority that this machine does not know, and so do not clients", where,
			"get one from an authority that clients know; if yours is a private one that they do, run the doctor with --ca-file and the file of the authority")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		what := fmt.Sprintf("the certificate has expired, at %s", invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
		if d.Store.Now().Before(invalid.Cert.NotBefore) {
			what = fmt.Sprintf("the certificate is good only from %s on, or this machine's clock is slow", invalid.Cert.NotBefore.UTC().Format(time.RFC3339))
		}
		d.bad(check, "expired", what, where, "see why it is not renewed: Caddy's log says so; and that the clock is right")
	case errors.As(err, &invalid):
		d.bad(check, "invalid", "the certificate is not valid: "+invalid.Error(), where, "get another one")
	case errors.As(err, &remote) && remote.Op == "remote error": // as crypto/tls marks an alert of the other side
		d.bad(check, "missing", "there is no certificate for the name, or none yet: "+remote.Err.Error(), where,
			"write the name as a site of the Caddyfile, and see in Caddy's log why no certificate comes")
	case errors.As(err, &plain), errors.Is(err, http.ErrSchemeMismatch):
		d.bad(check, "no-tls", "what answers there speaks no TLS", where, "serve it over https")
	default:
		return false
	}
	return true
}
