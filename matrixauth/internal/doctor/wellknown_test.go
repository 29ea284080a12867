package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
)

// site is a server over TLS in a test, and what it answers.
func tlsSite(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func pemOf(cert []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
}

// ids runs one check and gives the ids of what it found.
func ids(h *house.House, t *testing.T, authorities string, look func(*doctor.Visit)) (ids []string, found []matrixauth.Finding) {
	t.Helper()
	d, err := h.Wiring.Doctor.Begin(matrixauth.Examination{Authorities: authorities})
	h.Must(err)
	defer d.End()
	look(d)
	for _, f := range d.Findings {
		ids = append(ids, f.ID)
		if !f.OK && (f.What == "" || f.Where == "" || f.Change == "") {
			t.Errorf("it does not say all: %+v", f)
		}
	}
	return ids, d.Findings
}

// TestDoctorReadsTheWellKnown looks at what stands in the document; who may read it is tested with a browser.
func TestDoctorReadsTheWellKnown(t *testing.T) { // DISC-21
	var h *house.House
	ours := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Serve(w, r) }))
	defer ours.Close()
	document := ""
	s := tlsSite(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		say(w, document)
	}))
	h = house.New(t, func(c *matrixauth.Config) { c.Issuer, c.ServerName = ours.URL, strings.TrimPrefix(s.URL, "https://") })
	for name, test := range map[string]struct {
		document string
		want     []string
	}{
		"ours":                   {`{"m.homeserver":{"base_url":"OURS"}}`, []string{"well-known"}},
		"a slash at the end":     {`{"m.homeserver":{"base_url":"OURS/"}}`, []string{"well-known"}},
		"what else may stand":    {`{"m.homeserver":{"base_url":"OURS"},"m.identity_server":{"base_url":"https://vector.im"}}`, []string{"well-known"}},
		"somebody else":          {`{"m.homeserver":{"base_url":"SITE"}}`, []string{"well-known/base-url"}},
		"nobody":                 {`{"m.homeserver":{"base_url":"http://127.0.0.1:1"}}`, []string{"well-known/base-url"}},
		"no address":             {`{"m.homeserver":{"base_url":"matrix.example.com"}}`, []string{"well-known/base-url-broken"}},
		"a query":                {`{"m.homeserver":{"base_url":"OURS?x=1"}}`, []string{"well-known/base-url-broken"}},
		"the federation's":       {`{"m.server":"matrix.example.com:443"}`, []string{"well-known/base-url-missing"}},
		"a number":               {`{"m.homeserver":{"base_url":8}}`, []string{"well-known/base-url-missing"}},
		"a text for an object":   {`{"m.homeserver":"OURS"}`, []string{"well-known/base-url-missing"}},
		"our issuer":             {`{"m.homeserver":{"base_url":"OURS"},"org.matrix.msc2965.authentication":{"issuer":"OURS/","account":"OURS/account"}}`, []string{"well-known"}},
		"another issuer":         {`{"m.homeserver":{"base_url":"OURS"},"org.matrix.msc2965.authentication":{"issuer":"https://user:hunter2@mas.example.com/"}}`, []string{"well-known/stale-issuer"}},
		"another issuer, stable": {`{"m.homeserver":{"base_url":"OURS"},"m.authentication":{"issuer":"https://mas.example.com/"}}`, []string{"well-known/stale-issuer"}},
		"no issuer":              {`{"m.homeserver":{"base_url":"OURS"},"org.matrix.msc2965.authentication":true}`, []string{"well-known/stale-issuer"}},
		"another account page":   {`{"m.homeserver":{"base_url":"OURS"},"org.matrix.msc2965.authentication":{"issuer":"OURS/","account":"https://mas.example.com/account"}}`, []string{"well-known/stale-account"}},
		"two things":             {`{"m.homeserver":{"base_url":"SITE"},"org.matrix.msc2965.authentication":{"issuer":"https://mas.example.com/"}}`, []string{"well-known/base-url", "well-known/stale-issuer"}},
	} {
		t.Run(name, func(t *testing.T) {
			document = strings.NewReplacer("OURS", ours.URL, "SITE", s.URL).Replace(test.document)
			ids, found := ids(h, t, pemOf(s.Certificate().Raw), func(d *doctor.Visit) { d.WellKnown(t.Context()) })
			if !slices.Equal(ids, test.want) {
				t.Errorf("it found %v, want %v: %+v", ids, test.want, found)
			}
			if strings.Contains(fmt.Sprint(found), "hunter2") {
				t.Errorf("it shows a password: %+v", found)
			}
		})
	}
}

// TestDoctorReadsAsAPage looks at what comes of our routes behind a proxy that meddles.
func TestDoctorReadsAsAPage(t *testing.T) { // LEG-5, LEG-6, DISC-12
	for name, test := range map[string]struct {
		meddle func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc)
		want   []string
	}{
		"nothing": {func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) { next(w, r) }, nil},
		"a second header": {func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			next(&adder{w}, r)
		}, []string{"public-routes/cors-doubled"}},
		"no preflight":                    {instead("OPTIONS", "/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }), []string{"public-routes/preflight-refused"}},
		"no preflight without a password": {instead("OPTIONS", "/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), []string{"public-routes/password"}},
		"a password":                      {instead("", "/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), []string{"public-routes/password"}},
		"a password for the pages":        {instead("", "/account/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), []string{"public-routes/password"}},
		"a portal": {instead("", "/_matrix/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sso.example.com/?rd=x", http.StatusFound)
		}), []string{"public-routes/redirected"}},
		"a portal for the pages": {instead("", "/authorize", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sso.example.com/?rd=x", http.StatusFound)
		}), []string{"public-routes/redirected"}},
		"https": {instead("", "/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusPermanentRedirect)
		}), []string{"public-routes/other-scheme"}},
		"a wall":        {instead("GET", "/.well-known/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }), []string{"public-routes/forbidden"}},
		"a closed door": {instead("GET", "/authorize", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), []string{"public-routes/cut-off"}},
		"a preflight of another's": {func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			if r.Method == http.MethodOptions {
				w.Header().Set("Access-Control-Allow-Origin", "*")
				w.Header().Set("Access-Control-Allow-Headers", "X-Other")
				return
			}
			next(w, r)
		}, []string{"public-routes/preflight-header"}},
		"a redirect without the header": {func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			if r.URL.Path == "/_matrix/client/versions" {
				http.Redirect(w, r, "/_matrix/client/v3/login", http.StatusFound)
				return
			}
			next(w, r)
		}, []string{"public-routes/cors-missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			var h *house.House
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				test.meddle(w, r, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/_matrix/client/versions" {
						w.Header().Add("Access-Control-Allow-Origin", "*") // as Synapse answers
						say(w, "{}")
						return
					}
					h.Serve(w, r)
				})
			}))
			defer site.Close()
			h = house.New(t, func(c *matrixauth.Config) { c.Issuer = site.URL })
			want := test.want
			if want == nil {
				want = []string{"public-routes"}
			}
			if ids, found := ids(h, t, "", func(d *doctor.Visit) { d.Routes(t.Context()) }); !slices.Equal(ids, want) {
				t.Errorf("it found %v, want %v: %+v", ids, want, found)
			}
		})
	}
}

// instead answers in our place below a path; method is empty for every one.
func instead(method, path string, answer http.HandlerFunc) func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if strings.HasPrefix(r.URL.Path, path) && (method == "" || r.Method == method) {
			next = answer
		}
		next(w, r)
	}
}

// adder is a proxy that adds the header to whatever has it already.
type adder struct{ http.ResponseWriter }

func (a *adder) WriteHeader(status int) {
	a.Header().Add("Access-Control-Allow-Origin", "*")
	a.ResponseWriter.WriteHeader(status)
}

// TestDoctorLooksAtCertificates has a client of Go's library refuse certificates, and reads why.
func TestDoctorLooksAtCertificates(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		from, until time.Duration
		host        string
		trusted     bool
		config      func(*tls.Config)
		want        string
	}{
		"good":                {-time.Hour, time.Hour, "127.0.0.1", true, nil, "well-known/missing"},
		"expired":             {-2 * time.Hour, -time.Hour, "127.0.0.1", true, nil, "certificate/expired"},
		"not yet":             {time.Hour, 2 * time.Hour, "127.0.0.1", true, nil, "certificate/expired"},
		"for another name":    {-time.Hour, time.Hour, "example.org", true, nil, "certificate/other-name"},
		"of an own authority": {-time.Hour, time.Hour, "127.0.0.1", false, nil, "certificate/unknown-authority"},
		"none":                {-time.Hour, time.Hour, "127.0.0.1", true, func(c *tls.Config) { c.Certificates, c.GetCertificate = nil, noCertificate }, "certificate/missing"},
	} {
		t.Run(name, func(t *testing.T) {
			certificate, text := newCertificate(t, now.Add(test.from), now.Add(test.until), test.host)
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			s.StartTLS()
			defer s.Close()
			if test.config != nil {
				test.config(s.TLS)
			}
			if !test.trusted {
				text = ""
			}
			h := house.New(t, func(c *matrixauth.Config) { c.ServerName = strings.TrimPrefix(s.URL, "https://") })
			ids, found := ids(h, t, text, func(d *doctor.Visit) { d.WellKnown(t.Context()) })
			if !slices.Contains(ids, test.want) {
				t.Errorf("it found %v, want %s: %+v", ids, test.want, found)
			}
			if name == "of an own authority" && !strings.Contains(found[0].Change, "--ca-file") {
				t.Errorf("it does not name the flag: %+v", found[0])
			}
		})
	}
	t.Run("no TLS", func(t *testing.T) {
		s := httptest.NewServer(http.NotFoundHandler())
		defer s.Close()
		h := house.New(t, func(c *matrixauth.Config) { c.ServerName = strings.TrimPrefix(s.URL, "http://") })
		if ids, found := ids(h, t, "", func(d *doctor.Visit) { d.WellKnown(t.Context()) }); !slices.Equal(ids, []string{"certificate/no-tls"}) {
			t.Errorf("it found %+v", found)
		}
	})
}

func noCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return nil, errors.New("there is none")
}

func newCertificate(t *testing.T, from, until time.Time, host string) (certificate tls.Certificate, text string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pemOf(der)
}
