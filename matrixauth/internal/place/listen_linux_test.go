package place

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// openUmask has files be open to everybody unless who makes them says otherwise, as the umask of a service may be
// anything.
func openUmask(t *testing.T) {
	t.Helper()
	before := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(before) })
}

// TestListen makes sockets for their owner alone, whatever the umask, and from their first moment on: whoever
// connects before a mode is changed stays connected (KEY-14).
func TestListen(t *testing.T) {
	openUmask(t)
	for name, length := range map[string]int{"": 1, "at a path that is too long for an address": MaxSocketPath} {
		for how, listen := range map[string]func(string) (net.Listener, error){
			"listening":           Listen,
			"at the first moment": func(path string) (net.Listener, error) { return listenAt(path, listenPrivately) },
		} {
			t.Run(strings.TrimSpace(how+" "+name), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), strings.Repeat("x", length), "s")
				must(t, os.Mkdir(filepath.Dir(path), 0o700))
				listener, err := listen(path)
				must(t, err)
				t.Cleanup(func() { must(t, listener.Close()) })
				info, err := os.Lstat(path)
				must(t, err)
				if info.Mode() != os.ModeSocket|0o600 {
					t.Errorf("its mode is %v", info.Mode())
				}
			})
		}
	}
}
