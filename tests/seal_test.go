package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestSealByLibsodium has libsodium, by the Python of a real Synapse, open what we seal.
func TestSealByLibsodium(t *testing.T) {
	// The seal is internal to the module above, so its own test is run with this Python.
	const test = "TestByLibsodium"
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^"+test+"$", "./matrixauth/internal/seal")
	cmd.Dir = filepath.Dir(rig.Tests())
	cmd.Env = append(os.Environ(), "MATRIX_AUTH_SEAL_PYTHON="+rig.Python(t, rig.Newest))
	out, err := cmd.CombinedOutput()
	// Without the line, nothing was run, or it was skipped.
	if err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
		t.Errorf("%v\n%s", err, out)
	}
}
