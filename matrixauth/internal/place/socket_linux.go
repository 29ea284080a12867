package place

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Socket is a Unix socket that was looked at, held so that nothing else takes its place before it is dialled.
type Socket struct {
	// Address is what to dial; Owner is the user id of who made the socket.
	Address string
	Owner   int
	fd      int
}

// OpenSocket looks at a socket without following a link at its end: by one whoever owns the directory would
// have root talk to another program (KEY-14). Close it after dialling.
func OpenSocket(path string) (Socket, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return Socket{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return Socket{}, errors.Join(err, unix.Close(fd))
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
	case unix.S_IFLNK:
		return Socket{}, errors.Join(newError(path, "is a symbolic link, and is not followed", "remove the link"), unix.Close(fd))
	default:
		return Socket{}, errors.Join(newError(path, "is not a socket", "remove it"), unix.Close(fd))
	}
	s := Socket{Address: fmt.Sprintf("/proc/self/fd/%d", fd), Owner: int(stat.Uid), fd: fd}
	if _, err := os.Lstat(s.Address); err != nil {
		s.Address = path // without /proc
	}
	return s, nil
}

// Close lets go of the socket.
func (s Socket) Close() error { return unix.Close(s.fd) }

// Peer returns the user id of the process that listens at the other end of a connection.
func Peer(conn *net.UnixConn) (uid int, known bool, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	var credentials *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		credentials, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, false, err
	}
	if failed != nil {
		return 0, false, failed
	}
	return int(credentials.Uid), true, nil
}
