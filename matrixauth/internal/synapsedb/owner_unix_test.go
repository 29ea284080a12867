//go:build unix

package synapsedb

import (
	"fmt"
	"io/fs"
	"syscall"
)

func ownerOf(info fs.FileInfo) string {
	of := info.Sys().(*syscall.Stat_t)
	return fmt.Sprint(of.Uid, ":", of.Gid)
}
