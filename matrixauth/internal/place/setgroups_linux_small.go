//go:build linux && (386 || arm)

package place

import "golang.org/x/sys/unix"

// sysSetgroups is the call for ids of 32 bits. The older one has 16 here.
const sysSetgroups = unix.SYS_SETGROUPS32
