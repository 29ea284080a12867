package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// errNotGenerated says that there is no secret yet.
var errNotGenerated = errors.New("the secret is not generated yet")

// delegation returns what Synapse must know of this configuration. The configuration says it as far as it is
// decided there and known here; the running server, which may be nil, says the rest: it may have variables
// that this process lacks, and keeps its own secret in a directory of its user. What it tells is shown and
// compared, and never opened.
func (s site) delegation(ctx context.Context, o *matrixauth.Operator) (d matrixauth.Delegation, err error) {
	var told told
	if o != nil {
		if told, err = askServer(ctx, o); err != nil {
			return d, err
		}
	}
	if d.Endpoint = told.SynapseEndpoint; s.raw != nil {
		d.Endpoint = s.synapseEndpoint()
	}
	configured := s.given.Matrix
	switch {
	case configured.SecretFile != "":
		return d, s.delegateFile(&d, told)
	case configured.Secret != "":
		d.Secret = s.config.Secret
		if strings.Contains(configured.Secret, "{") && told.secret != "" && told.SecretFile == "" {
			d.Secret = told.secret // a variable may say something else here
		}
		if d.Secret == "" {
			return d, s.problem
		}
		return d, nil
	case o != nil && (s.raw == nil || told.SecretGenerated):
		d.Secret, d.SecretPath = told.secret, told.SecretFile
		return d, nil
	case o != nil:
		return d, fmt.Errorf("%s leaves the secret to the server, and the running server has one from its configuration; reload Caddy first", s.file)
	case s.raw == nil:
		return d, s.problem
	}
	return d, s.delegateGenerated(&d)
}

// delegateFile is for a secret in a file that the configuration names.
func (s site) delegateFile(d *matrixauth.Delegation, told told) error {
	path, err := caddy.NewReplacer().ReplaceOrErr(s.given.Matrix.SecretFile, true, true)
	if err != nil && told.SecretFile != "" && !told.SecretGenerated {
		d.Secret, d.SecretPath = told.secret, told.SecretFile
		return nil
	}
	if err != nil {
		return errors.Join(s.problem, err)
	}
	if d.SecretPath, err = filepath.Abs(path); err != nil {
		return err
	}
	if d.Secret = s.config.Secret; d.Secret == "" && d.SecretPath == told.SecretFile {
		d.Secret = told.secret // a file that the server may read, and this user may not
	}
	return nil
}

// delegateGenerated is for our own secret, beside a database that no server has.
func (s site) delegateGenerated(d *matrixauth.Delegation) error {
	path, err := s.secretPlace()
	if err != nil {
		return err
	}
	d.SecretPath = path
	d.Secret, err = matrixauth.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (%s)", errNotGenerated, path)
	}
	return err
}

// secretPlace returns where the server will look for its own secret. A backup has none beside it, and its secret
// is that of the configured database.
func (s site) secretPlace() (string, error) {
	path, there, err := s.stored()
	if err != nil {
		return "", err
	}
	if s.databaseNamed {
		own := matrixauth.SecretFile(path)
		if _, err := os.Lstat(own); there && err == nil {
			return own, nil
		}
		return s.plain().secretPlace()
	}
	if path == "" {
		return "", s.problem // the name of the database is a placeholder
	}
	return matrixauth.SecretFile(path), nil
}

// plain returns the site without a flag that names the database.
func (s site) plain() site {
	s.databaseNamed, s.database = false, s.configured
	return s
}

// fill takes from the running server what the configuration would say if it could be read here.
func (s *site) fill(ctx context.Context, o *matrixauth.Operator) error {
	if s.raw != nil {
		return nil
	}
	told, err := matrixauth.TellInstance.Do(ctx, o, struct{}{})
	if err != nil {
		return err
	}
	s.config.ServerName, s.config.Issuer, s.config.Endpoint = told.ServerName, told.Issuer, told.Homeserver
	return nil
}

// told is what a running server says of itself.
type told struct {
	matrixauth.Instance
	secret string
}

func askServer(ctx context.Context, o *matrixauth.Operator) (all told, err error) {
	if all.Instance, err = matrixauth.TellInstance.Do(ctx, o, struct{}{}); err != nil {
		return all, err
	}
	if all.SynapseEndpoint == "" {
		return all, errors.New("the running server is of another version than this program; restart Caddy")
	}
	secret, err := matrixauth.TellSecret.Do(ctx, o, struct{}{})
	all.secret = secret.Secret
	return all, err
}

// ownsSecret reports whether the secret is in our own generated file.
func (s site) ownsSecret() bool {
	return s.given.Matrix.Secret == "" && s.given.Matrix.SecretFile == ""
}

// mayKeepSecret refuses to write our own secret where no server would look for it, and makes the directory.
// Before Caddy has run the directory is the service's; so somebody must have said which service that is.
func (s site) mayKeepSecret(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	uid, gid := os.Geteuid(), os.Getegid()
	_, err := os.Stat(filepath.Dir(path))
	switch {
	case err == nil && !s.service.known:
		return nil // the file will belong to who owns the directory
	case s.service.known && uid == 0:
		uid, gid = s.service.uid, s.service.gid
	case s.service.known && uid != s.service.uid && !s.ownsFile():
		return fmt.Errorf("%w, and Caddy runs as %s, whose directories this user may not write; run the command as root or as %s", errNotGenerated, s.service.name, s.service.name)
	case uid == 0:
		return fmt.Errorf("%w, and it cannot be told as which user Caddy will run: there is neither %s nor a user %s; start Caddy once, or name its user by --service-user (root, if that is who runs it)", errNotGenerated, serviceUnit, packagedUser)
	}
	return matrixauth.MakeSecretDir(path, uid, gid)
}

// ownsFile reports whether the configuration is the caller's own file, so that Caddy will run as them.
func (s site) ownsFile() bool {
	info, err := os.Stat(s.file)
	if err != nil {
		return false
	}
	owner, known := matrixauth.FileOwner(info)
	return known && owner == os.Geteuid()
}

// synapseEndpoint returns the address at which Synapse finds us: the internal listener, or the issuer if
// there is none.
func (r resolved) synapseEndpoint() string {
	if r.listenDefault {
		return "http://localhost:8080/"
	}
	if len(r.listen) == 0 {
		return strings.TrimSuffix(r.config.Issuer, "/") + "/"
	}
	host, port, err := net.SplitHostPort(r.listen[0])
	if err != nil {
		return "http://" + r.listen[0] + "/"
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// placement returns what the running server tells commands.
func (s Settings) placement(r resolved) matrixauth.Placement {
	p := matrixauth.Placement{SynapseEndpoint: r.synapseEndpoint()}
	switch {
	case s.Matrix.SecretFile != "":
		if path, err := caddy.NewReplacer().ReplaceOrErr(s.Matrix.SecretFile, true, true); err == nil {
			p.SecretFile, _ = filepath.Abs(path) // a file that was read just now
		}
	case s.Matrix.Secret == "":
		p.SecretFile, p.SecretGenerated = r.secretFile, true
	}
	return p
}
