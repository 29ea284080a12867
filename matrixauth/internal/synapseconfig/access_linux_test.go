package synapseconfig

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWriteKeepsAccessList: who was let in by setfacl may read the file and its copy afterwards, and nobody else.
func TestWriteKeepsAccessList(t *testing.T) {
	path, m := writeOld(t, 0o640)
	list := []byte{2, 0, 0, 0} // the version of the format
	for _, entry := range [][3]uint32{{0x01, 6, 0xffffffff}, {0x02, 4, 12345}, {0x04, 0, 0xffffffff}, {0x10, 4, 0xffffffff}, {0x20, 0, 0xffffffff}} {
		list = binary.LittleEndian.AppendUint16(list, uint16(entry[0])) // owner, user 12345, group, mask, others
		list = binary.LittleEndian.AppendUint16(list, uint16(entry[1]))
		list = binary.LittleEndian.AppendUint32(list, entry[2])
	}
	if err := unix.Setxattr(path, accessList, list, 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("the file system has no access lists")
	} else if err != nil {
		t.Fatal(err)
	}
	_, backup, err := writeOne(m, testTime)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, backup} {
		got := make([]byte, 1024)
		if n, err := unix.Getxattr(name, accessList, got); err != nil || !bytes.Equal(got[:n], list) {
			t.Errorf("%s has the list %x, %v", name, got[:max(n, 0)], err)
		}
	}
}
