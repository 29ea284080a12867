package place

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// accessList is the attribute in which Linux keeps a file's access list.
const accessList = "system.posix_acl_access"

// maxAccessList bounds an access list, in bytes.
const maxAccessList = 4096

// copyAccess gives a file the access list of another, if that has one.
func copyAccess(from, to *os.File) error {
	list := make([]byte, maxAccessList)
	n, err := unix.Fgetxattr(int(from.Fd()), accessList, list)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	return unix.Fsetxattr(int(to.Fd()), accessList, list[:n], 0)
}
