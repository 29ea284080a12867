//go:build faulthook

package fault

import (
	"os"
	"syscall"
)

// Point kills the process, as kill -9 does, if the environment names this place in
// MATRIX_AUTH_FAULT and the file named by MATRIX_AUTH_FAULT_FILE exists. It deletes the file first,
// so that each file is one death.
func Point(name string) {
	if os.Getenv("MATRIX_AUTH_FAULT") != name {
		return
	}
	if err := os.Remove(os.Getenv("MATRIX_AUTH_FAULT_FILE")); err != nil {
		return
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(err)
	}
	select {}
}
