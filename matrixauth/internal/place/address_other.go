//go:build unix && !linux

package place

import "net"

// LongSockets reports whether a socket's path may be of any length here.
func LongSockets() bool { return false }

func longListen(path string, listen func(address string) (net.Listener, error)) (net.Listener, error) {
	return listen(path)
}
