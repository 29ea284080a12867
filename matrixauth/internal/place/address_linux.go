package place

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// LongSockets reports whether a socket's path may be of any length here: one that is too long for the system
// is named by its directory, which the process holds open.
func LongSockets() bool {
	_, err := os.Lstat("/proc/self/fd")
	return err == nil
}

// longListen listens at a path that is too long for an address.
func longListen(path string, listen func(address string) (net.Listener, error)) (net.Listener, error) {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	l, err := listen(fmt.Sprintf("/proc/self/fd/%d/%s", dir.f.Fd(), filepath.Base(path)))
	if err != nil {
		_ = dir.close() // the error of the listener is the one that counts
		return nil, err
	}
	return &longListener{Listener: l, close: sync.OnceValue(func() error { return joinClose(l, dir) })}, nil
}

// longListener holds the directory of its socket until it has removed that.
type longListener struct {
	net.Listener
	close func() error
}

// Close stops listening and removes the socket.
func (l *longListener) Close() error { return l.close() }

func joinClose(l net.Listener, dir directory) error {
	err := l.Close()
	if closed := dir.close(); err == nil {
		err = closed
	}
	return err
}
