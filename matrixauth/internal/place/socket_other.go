//go:build !linux

package place

import (
	"io/fs"
	"net"
	"os"
)

// Socket is a Unix socket that was looked at.
type Socket struct {
	// Address is what to dial; Owner is the user id of who made the socket.
	Address string
	Owner   int
}

// OpenSocket looks at a socket without following a link at its end. Close it after dialling.
func OpenSocket(path string) (Socket, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Socket{}, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return Socket{}, newError(path, "is a symbolic link, and is not followed", "remove the link")
	}
	owner, known := Owner(info)
	if !known {
		owner = os.Geteuid()
	}
	return Socket{Address: path, Owner: owner}, nil
}

// Close lets go of the socket.
func (s Socket) Close() error { return nil }

// Peer is not known on this system.
func Peer(*net.UnixConn) (uid int, known bool, err error) { return 0, false, nil }
