//go:build !unix

package matrixauth

// sameOwner cannot be told on this system, whose directories for temporary files belong to one user.
func sameOwner(string, string) bool { return true }
