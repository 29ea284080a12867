//go:build unix

package place

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
)

// Listen opens a Unix socket for its owner alone, from its first moment on where the system lets the mode
// be set before the socket has a name (Linux).
func Listen(path string) (net.Listener, error) {
	listener, err := listenAt(path, listenPrivately)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Perm() != 0o600 {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// listenPrivately sets the mode of the socket before it has a name. Where the system does not let it, Listen does so
// a moment later.
func listenPrivately(address string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) }) // Listen looks at what came of it
	}}
	return config.Listen(context.Background(), "unix", address)
}

// MaxSocketPath is the longest path of a Unix socket that every system takes.
const MaxSocketPath = 100

func listenAt(path string, listen func(address string) (net.Listener, error)) (net.Listener, error) {
	if len(path) <= MaxSocketPath {
		return listen(path)
	}
	return longListen(path, listen)
}

// SameOwner reports whether one user owns both files.
func SameOwner(a, b string) bool {
	x, errX := os.Lstat(a)
	y, errY := os.Lstat(b)
	if errX != nil || errY != nil {
		return false
	}
	ofX, okX := Owner(x)
	ofY, okY := Owner(y)
	return okX && okY && ofX == ofY
}
