//go:build unix

package synapseconfig

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// sameOwner gives file the owner and group of like.
func sameOwner(file *os.File, like fs.FileInfo) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	want, okWant := like.Sys().(*syscall.Stat_t)
	have, okHave := info.Sys().(*syscall.Stat_t)
	if !okWant || !okHave {
		return errors.New("the owner of the file cannot be read")
	}
	if want.Uid == have.Uid && want.Gid == have.Gid {
		return nil
	}
	return file.Chown(int(want.Uid), int(want.Gid))
}

// mayLead reports whether a link may lead to a file that is then written: the link must belong to root, to us, or to
// the owner of the file.
func mayLead(link, file fs.FileInfo) bool {
	from, ok := link.Sys().(*syscall.Stat_t)
	to, ok2 := file.Sys().(*syscall.Stat_t)
	return ok && ok2 && (from.Uid == 0 || int(from.Uid) == os.Geteuid() || from.Uid == to.Uid)
}

// syncDirectory makes a rename in the directory survive a power failure.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
