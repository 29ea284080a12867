package caddymodule

import (
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
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// serviceUser is the user that Caddy's packages run it as.
const serviceUser = "caddy"

// reach finds the running server of a site, or opens its database, and says on standard error which
// database it means.
func (s site) reach(ctx context.Context, cmd *cobra.Command) (*matrixauth.Operator, error) {
	operator, target, err := s.reachServer(ctx, cmd)
	if errors.Is(err, matrixauth.ErrNoServer) {
		config := s.config
		if config.Secret == "" {
			if secret, err := matrixauth.ReadSecret(s.secretFile); err == nil {
				config.Secret = secret
			} else if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		operator, err = matrixauth.Reach(ctx, target, config, matrixauth.Deps{
			Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
	}
	if err != nil {
		return nil, err
	}
	how := "no server is running"
	switch {
	case operator.Live():
		how = "by the running server"
	case operator.ActingAs() != "":
		how += ", acting as " + operator.ActingAs()
	}
	return operator, say(cmd.ErrOrStderr(), "database %s (%s)", operator.Database(), how)
}

// reachServer finds the running server of a site. Without one it is matrixauth.ErrNoServer, and target is
// what to open.
func (s site) reachServer(ctx context.Context, cmd *cobra.Command) (o *matrixauth.Operator, target matrixauth.Target, err error) {
	target.Database, target.ServerName = s.database, s.config.ServerName
	if target.Users, err = s.believed(cmd); err != nil {
		return nil, target, err
	}
	if learned, admin, ok := s.learn(ctx); ok && learned != s.database {
		o, err := s.reachLearned(ctx, matrixauth.Target{Database: learned, Learned: true, Users: target.Users})
		if err == nil {
			return o, target, nil
		}
		if !errors.Is(err, matrixauth.ErrNoServer) {
			return nil, target, fmt.Errorf("what answers at Caddy's admin address %s says that the server has the database %s: %w", admin, learned, err)
		}
		if err := say(cmd.ErrOrStderr(), "what answers at Caddy's admin address %s names the database %s, where no server answers; it is not used", admin, learned); err != nil {
			return nil, target, err
		}
	}
	o, err = matrixauth.ReachServer(ctx, target)
	return o, target, err
}

// reachLearned reaches the server of a database that was learned over the network, and sees that it is the
// one of this site: its user may run another one, to which we must not be led.
func (s site) reachLearned(ctx context.Context, target matrixauth.Target) (*matrixauth.Operator, error) {
	o, err := matrixauth.ReachServer(ctx, target)
	if err != nil {
		return nil, err
	}
	found, err := matrixauth.TellInstance.Do(ctx, o, matrixauth.Nothing{})
	if err == nil && (found.ServerName != s.config.ServerName || found.Issuer != s.config.Issuer) {
		err = fmt.Errorf("the server there serves %s at %s", found.ServerName, found.Issuer)
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// believed are the users whose server is believed beside root, the caller and the owner of a well-guarded
// database: Caddy's packaged user, the owner of the configuration, and who is named by a flag.
func (s site) believed(cmd *cobra.Command) ([]int, error) {
	ids, err := believedUsers(cmd)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(s.file); err == nil {
		if owner, ok := matrixauth.FileOwner(info); ok {
			ids = append(ids, owner)
		}
	}
	return ids, nil
}

// believedUsers are those of them that no configuration is needed to know.
func believedUsers(cmd *cobra.Command) (ids []int, err error) {
	if known, err := user.Lookup(serviceUser); err == nil {
		if id, err := strconv.Atoi(known.Uid); err == nil {
			ids = append(ids, id)
		}
	}
	named, err := cmd.Flags().GetString("service-user")
	if err != nil || named == "" {
		return ids, nil // a command without the flag
	}
	id, err := strconv.Atoi(named)
	if err != nil {
		known, err := user.Lookup(named)
		if err != nil {
			return nil, fmt.Errorf("--service-user: %w", err)
		}
		if id, err = strconv.Atoi(known.Uid); err != nil {
			return nil, fmt.Errorf("--service-user: %w", err)
		}
	}
	return append(ids, id), nil
}

// adminTime bounds the question to the admin endpoint: whoever listens there may never answer.
const adminTime = 5 * time.Second

// learn asks Caddy's admin endpoint for the database of the running server of this issuer: a command run
// as root resolves the default path to another directory than the server's user does. Where Caddy does not
// run, anybody may listen at that address, so the answer is hearsay. Nobody is asked if the endpoint is off
// or the database is named.
func (s site) learn(ctx context.Context) (database, address string, ok bool) {
	if s.given.Database != "" || s.databaseNamed {
		return "", "", false
	}
	var document struct {
		Admin caddy.AdminConfig `json:"admin"`
	}
	if err := json.Unmarshal(s.raw, &document); err != nil || document.Admin.Disabled {
		return "", "", false
	}
	address, err := caddycmd.DetermineAdminAPIAddress("", s.raw, s.file, s.adapter)
	if err != nil {
		return "", "", false
	}
	ctx, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	instances, err := askAdmin(ctx, address)
	if err != nil {
		return "", "", false
	}
	for _, one := range instances {
		if one.ServerName == s.config.ServerName && one.Issuer == s.config.Issuer && filepath.IsAbs(one.Database) {
			return filepath.Clean(one.Database), address, true
		}
	}
	return "", "", false
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
