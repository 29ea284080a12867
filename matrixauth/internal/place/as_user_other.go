//go:build !linux

package place

// AsUser runs f as it is: this system has one user for all threads of a process.
func AsUser(_, _ int, f func()) error {
	f()
	return nil
}
