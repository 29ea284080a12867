package place

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AsOwner has a process of root run f with the rights to files of who owns a file, and no more: what that user
// wrote into the file must not lead root to what they could not read themselves (KEY-14). name is theirs; it is
// empty if f was run as it is, because the process is not root's, or the file is.
//
// f must not leave its goroutine. A root that may not change its user, as some containers have, runs it as it is.
func AsOwner(info fs.FileInfo, f func()) (name string, err error) {
	uid, known := Owner(info)
	if os.Geteuid() != 0 || !known || uid == 0 {
		f()
		return "", nil
	}
	gid, groups, err := groupsOf(uid, group(info))
	if err != nil {
		return "", err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // Linux keeps these ids for each thread; this one ends with its goroutine
		err := setFileUser(uid, gid, groups)
		if errors.Is(err, unix.EPERM) {
			name, err = "", nil
		} else {
			name = UserName(uid)
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	err = <-done
	return name, err
}

// setFileUser gives the thread the rights of a user to files.
func setFileUser(uid, gid int, groups []int) error {
	ids := make([]uint32, 0, len(groups)+1)
	for _, id := range append(groups, gid) {
		ids = append(ids, uint32(id)) //nolint:gosec // the system's own ids
	}
	// For this thread alone, as the system's call is, and the library's is not.
	if _, _, errno := unix.RawSyscall(sysSetgroups, uintptr(len(ids)), uintptr(unsafe.Pointer(&ids[0])), 0); errno != 0 {
		return errno
	}
	if err := errors.Join(unix.Setfsgid(gid), unix.Setfsuid(uid)); err != nil {
		return err
	}
	// The system does not say whether it did. Asked for an id that is none, it tells the present one.
	haveGID, errGID := unix.SetfsgidRetGid(-1)
	haveUID, errUID := unix.SetfsuidRetUid(-1)
	if err := errors.Join(errGID, errUID); err != nil {
		return err
	}
	if haveUID != uid || haveGID != gid {
		return fmt.Errorf("files cannot be read as user %s", UserName(uid))
	}
	return nil
}
