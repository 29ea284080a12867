package place

import (
	"encoding/binary"
	"errors"
	"fmt"
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

// accessEntries reads the access list of a file; it is empty if the file has none.
func accessEntries(path string) (list []accessEntry, err error) {
	data := make([]byte, maxAccessList)
	n, err := unix.Lgetxattr(path, accessList, data)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "getxattr", Path: path, Err: err}
	}
	// A version of four bytes, and entries of eight: tag, rights and id (linux/posix_acl_xattr.h).
	const version, entry = 4, 8
	if n < version || (n-version)%entry != 0 || binary.LittleEndian.Uint32(data) != 2 {
		return nil, fmt.Errorf("the access list of %s is of a kind that is not known", path)
	}
	for rest := data[version:n]; len(rest) > 0; rest = rest[entry:] {
		list = append(list, accessEntry{
			tag: binary.LittleEndian.Uint16(rest), rights: binary.LittleEndian.Uint16(rest[2:]), id: int(int32(binary.LittleEndian.Uint32(rest[4:]))),
		})
	}
	return list, nil
}
