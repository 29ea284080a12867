package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// reach finds the running server of a site, or opens its database, and says on standard error which
// database it means.
func (s site) reach(ctx context.Context, cmd *cobra.Command) (*matrixauth.Operator, error) {
	operator, err := s.reachServer(ctx, cmd)
	if errors.Is(err, matrixauth.ErrNoServer) {
		operator, err = s.open(ctx, cmd)
	}
	if err != nil {
		return nil, err
	}
	how := "no server is running"
	switch {
	case operator.Live():
		how = "by the running server"
	case operator.Aside():
		how = "no server has it; Synapse is told nothing"
	}
	if operator.ActingAs() != "" {
		how += ", acting as " + operator.ActingAs()
	}
	return operator, say(cmd.ErrOrStderr(), "database %s (%s)", operator.Database(), how)
}

// checkClosed returns a *matrixauth.ClosedError if a server of the site would not open its database.
func (s site) checkClosed(ctx context.Context) error {
	path, _, err := s.stored()
	if err != nil || s.databaseNamed || s.problem != nil {
		return err
	}
	return matrixauth.CheckClosed(ctx, path, s.config.KeyFile)
}

// open opens the database itself.
func (s site) open(ctx context.Context, cmd *cobra.Command) (*matrixauth.Operator, error) {
	if s.problem != nil {
		return nil, s.problem
	}
	if err := s.checkClosed(ctx); err != nil {
		return nil, err
	}
	path, there, err := s.stored()
	if err != nil {
		return nil, err
	}
	if other := s.orElse(path); !there && other != "" {
		return nil, fmt.Errorf("there is no database at %s%s", path, other)
	}
	aside, err := s.isAside(ctx, path)
	if err != nil {
		return nil, err
	}
	config := s.config
	if config.Secret == "" && !aside {
		if config.Secret, err = matrixauth.ReadSecret(matrixauth.SecretFile(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return matrixauth.Reach(ctx, s.target(path, aside), config, matrixauth.Deps{
		Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}

// target returns a database of this site.
func (s site) target(path string, aside bool) matrixauth.Target {
	t := matrixauth.Target{Database: path, Aside: aside, Users: s.believed()}
	if !s.uncertain() {
		t.ServerName = s.config.ServerName
	}
	return t
}

// isAside reports whether a file that a flag named is another one than the database of the site: not where
// that would be looked for, or there while the server has another.
func (s site) isAside(ctx context.Context, path string) (bool, error) {
	if !s.databaseNamed {
		return false, nil
	}
	plain := s.plain()
	if place, there, err := plain.stored(); err != nil || !there || !sameFile(place, path) {
		return true, nil // what cannot be looked at is not this file
	}
	o, err := plain.reachServer(ctx, nil)
	switch {
	case errors.Is(err, matrixauth.ErrNoServer):
		return false, nil
	case err != nil:
		return true, nil // somebody answers who is not believed; it is not this file's server
	}
	return true, o.Close()
}

// sameFile reports whether two paths lead to one file.
func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// reachServer finds the running server of a site. Without one it is matrixauth.ErrNoServer. cmd, which may
// be nil, is told what was found and not used.
func (s site) reachServer(ctx context.Context, cmd *cobra.Command) (*matrixauth.Operator, error) {
	if s.databaseNamed || s.given.Database != "" {
		return s.reachNamed(ctx)
	}
	tell := func(format string, args ...any) error {
		if cmd == nil {
			return nil
		}
		return say(cmd.ErrOrStderr(), format, args...)
	}
	var refused error
	for _, path := range s.places() {
		o, err := matrixauth.ReachServer(ctx, s.target(path, false))
		if errors.Is(err, matrixauth.ErrNoServer) {
			continue
		}
		if err == nil {
			return o, nil
		}
		refused = errors.Join(refused, err)
	}
	learned, admin, ok := s.learn(ctx)
	if !ok || slices.Contains(s.places(), learned) {
		return nil, cmp.Or(refused, matrixauth.ErrNoServer)
	}
	o, err := s.reachLearned(ctx, matrixauth.Target{Database: learned, Learned: true, Users: s.believed()})
	switch {
	case err == nil:
		return o, nil
	case !errors.Is(err, matrixauth.ErrNoServer):
		return nil, fmt.Errorf("what answers at Caddy's admin address %s says that the server has the database %s: %w", admin, learned, err)
	}
	if err := tell("what answers at Caddy's admin address %s names the database %s, where no server answers; it is not used", admin, learned); err != nil {
		return nil, err
	}
	return nil, cmp.Or(refused, matrixauth.ErrNoServer)
}

// reachNamed reaches the server of the database that a flag or the configuration names, and no other.
func (s site) reachNamed(ctx context.Context) (*matrixauth.Operator, error) {
	if s.database == "" {
		return nil, s.problem // its name is a placeholder
	}
	o, err := matrixauth.ReachServer(ctx, s.target(s.database, false))
	if err != nil {
		return nil, err
	}
	// A socket beside a file may be of a server that has another one, where files were moved.
	if found, err := matrixauth.TellInstance.Do(ctx, o, struct{}{}); err == nil && found.Database != "" && found.Database != s.database && !sameFile(found.Database, s.database) {
		return nil, errors.Join(fmt.Errorf("the server that answers beside %s has the database %s", s.database, found.Database), o.Close())
	}
	return o, nil
}

// uncertain reports whether the server name or the issuer of the configuration are not known here for sure.
func (s site) uncertain() bool {
	return s.raw == nil || len(s.unset) > 0 || s.config.ServerName == "" || s.config.Issuer == ""
}

// reachLearned reaches the server of a database that was learned over the network, and sees that it is the
// one of this site: its user may run another one, to which we must not be led.
func (s site) reachLearned(ctx context.Context, target matrixauth.Target) (*matrixauth.Operator, error) {
	o, err := matrixauth.ReachServer(ctx, target)
	if err != nil {
		return nil, err
	}
	found, err := matrixauth.TellInstance.Do(ctx, o, struct{}{})
	if err == nil && !s.uncertain() && (found.ServerName != s.config.ServerName || found.Issuer != s.config.Issuer) {
		err = fmt.Errorf("the server there serves %s at %s", found.ServerName, found.Issuer)
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// believed returns the users whose server is believed beside root, the caller and the owner of a well-guarded
// database: Caddy's packaged user, the unit's, the owner of the configuration, and who is named by a flag.
func (s site) believed() []int {
	ids := believedUsers(s.service)
	if info, err := os.Stat(s.file); err == nil {
		if owner, ok := matrixauth.FileOwner(info); ok {
			ids = append(ids, owner)
		}
	}
	return ids
}

// adminTime bounds the question to the admin endpoint: whoever listens there may never answer.
const adminTime = 5 * time.Second

// learn asks Caddy's admin endpoint for the database of the running server of this issuer: a command run
// as root resolves the default path to another directory than the server's user does. Where Caddy does not
// run, anybody may listen at that address, so the answer is hearsay. Nobody is asked if the endpoint is off
// or the database is named.
func (s site) learn(ctx context.Context) (database, address string, ok bool) {
	instances, address := s.announced(ctx)
	if s.uncertain() && len(instances) == 1 && filepath.IsAbs(instances[0].Database) {
		return filepath.Clean(instances[0].Database), address, true // there is no other
	}
	for _, one := range instances {
		if one.ServerName == s.config.ServerName && one.Issuer == s.config.Issuer && filepath.IsAbs(one.Database) {
			return filepath.Clean(one.Database), address, true
		}
	}
	return "", "", false
}

// announced returns the instances that Caddy's admin endpoint tells of; none if it tells nothing.
func (s site) announced(ctx context.Context) (instances []instance, address string) {
	var document struct {
		Admin caddy.AdminConfig `json:"admin"`
	}
	if s.raw != nil {
		if err := json.Unmarshal(s.raw, &document); err != nil || document.Admin.Disabled {
			return nil, ""
		}
	}
	address = cmp.Or(document.Admin.Listen, os.Getenv("CADDY_ADMIN"), caddy.DefaultAdminListen)
	ctx, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	instances, err := askAdmin(ctx, address)
	if err != nil {
		return nil, address
	}
	return instances, address
}

// maxWaiting bounds what is shown of such a reason, in characters.
const maxWaiting = 1000

// waitsFor returns why the running server of the site has not opened its database, and whose word that is; empty if
// nobody tells of such a server. Where Caddy does not run, it may be a stranger's.
func (s site) waitsFor(ctx context.Context) string {
	instances, address := s.announced(ctx)
	for _, one := range instances {
		if one.ServerName == s.config.ServerName && one.Issuer == s.config.Issuer && one.Waiting != "" {
			return fmt.Sprintf("what answers at Caddy's admin address %s says that the server runs and cannot open: %.*s", address, maxWaiting, one.Waiting)
		}
	}
	return ""
}

// maxInstances bounds the answer of the admin endpoint, in bytes.
const maxInstances = 1 << 20

func askAdmin(ctx context.Context, address string) ([]instance, error) {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil {
		return nil, err
	}
	at, host := parsed.JoinHostPort(0), parsed.JoinHostPort(0)
	if parsed.IsUnixNetwork() {
		at, _, _ = strings.Cut(parsed.Host, "|") // behind it stand the socket's permissions
		host = "127.0.0.1"
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, parsed.Network, at)
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+instancesPath, nil)
	if err != nil {
		return nil, err
	}
	if !parsed.IsUnixNetwork() {
		request.Header.Set("Origin", "http://"+host)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	var instances []instance
	err = json.NewDecoder(io.LimitReader(response.Body, maxInstances)).Decode(&instances)
	return instances, err
}
