//go:build unix

package matrixauth

import (
	"os"
	"syscall"
)

// sameOwner tells whether one user owns both files.
func sameOwner(a, b string) bool {
	owner := func(path string) (uint32, bool) {
		info, err := os.Lstat(path)
		if err != nil {
			return 0, false
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return 0, false
		}
		return stat.Uid, true
	}
	x, okX := owner(a)
	y, okY := owner(b)
	return okX && okY && x == y
}
