package place

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// AsUser has a process of root run f as another user, such as one whom a server at a socket asks the system for. f must not
// leave its goroutine. A root that may not change its user, as some containers have, runs it as it is.
func AsUser(uid, gid int, f func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // Linux keeps these ids for each thread; this one ends with its goroutine
		err := becomeOnThread(uid, gid)
		if errors.Is(err, unix.EPERM) {
			err = nil
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	return <-done
}

// becomeOnThread changes the effective user of the thread alone, as the system's call does, and the library's does not.
func becomeOnThread(uid, gid int) error {
	const same = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(sysSetresgid, same, uintptr(gid), same); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(sysSetresuid, same, uintptr(uid), same); errno != 0 {
		return errno
	}
	return nil
}
