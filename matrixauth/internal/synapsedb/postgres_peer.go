package synapsedb

import (
	"context"
	"errors"
	"net"
	"os"
	system "os/user"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// asPeer has root connect as the user of the system that is called like the user of the database, if there is no password:
// PostgreSQL asks the system who is at the other end of its socket (peer), and lets Synapse in by that alone.
func asPeer(config *pgconn.Config) {
	if config.Password != "" || os.Geteuid() != 0 {
		return
	}
	uid, gid, found := systemUser(config.User)
	if !found || uid == 0 {
		return
	}
	config.DialFunc = func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		dial := func() { conn, err = new(net.Dialer).DialContext(ctx, network, address) }
		if network != "unix" {
			dial()
			return conn, err
		}
		failed := place.AsUser(uid, gid, dial)
		return conn, errors.Join(failed, err)
	}
}

// systemUser returns the ids of a user of the system.
func systemUser(name string) (uid, gid int, found bool) {
	known, err := system.Lookup(name)
	if err != nil {
		return 0, 0, false
	}
	uid, errUID := strconv.Atoi(known.Uid)
	gid, errGID := strconv.Atoi(known.Gid)
	return uid, gid, errors.Join(errUID, errGID) == nil
}
