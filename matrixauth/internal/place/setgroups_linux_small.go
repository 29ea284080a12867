//go:build linux && (386 || arm)

package place

import "golang.org/x/sys/unix"

// These are the calls for ids of 32 bits. The older ones have 16 here.
const (
	sysSetgroups = unix.SYS_SETGROUPS32
	sysSetresuid = unix.SYS_SETRESUID32
	sysSetresgid = unix.SYS_SETRESGID32
)
