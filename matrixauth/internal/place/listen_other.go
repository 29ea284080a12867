//go:build !unix

package place

import "net"

// LongSockets reports whether a socket's path may be of any length here.
func LongSockets() bool { return false }

// Listen opens a Unix socket; the access list of its directory says who may dial it.
func Listen(path string) (net.Listener, error) { return net.Listen("unix", path) }

// MaxSocketPath is the longest path of a Unix socket that every system takes.
const MaxSocketPath = 100

// SameOwner cannot be told on this system, whose directories for temporary files belong to one user.
func SameOwner(string, string) bool { return true }
