package synapseconfig

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// accessList is the attribute that holds what setfacl grants.
const accessList = "system.posix_acl_access"

// sameAccess gives file the access list of the file at path: an owner may have let others read it so.
func sameAccess(file *os.File, path string) error {
	list := make([]byte, 64<<10) // the kernel's own bound of an attribute
	n, err := unix.Getxattr(path, accessList, list)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "read the access list of", Path: path, Err: err}
	}
	if err := unix.Fsetxattr(int(file.Fd()), accessList, list[:n], 0); err != nil {
		return &os.PathError{Op: "set the access list of", Path: file.Name(), Err: err}
	}
	return nil
}
