package seal

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// openSealed opens a sealed value by libsodium, as docs/architecture.md describes it.
const openSealed = `
import base64, sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt
file, purpose, row, sealed = sys.argv[1], sys.argv[2].encode(), sys.argv[3].encode(), bytes.fromhex(sys.argv[4])
heading, line = open(file).read().splitlines()
assert heading == "matrix-auth-seal 1" and sealed[0] == 1
secret = base64.b64decode(line)
derive = lambda use, size: HKDF(algorithm=hashes.SHA256(), length=size, salt=None, info=b"matrix-auth seal: " + use).derive(secret)
assert derive(b"id", 8) == sealed[1:9]
data = b"\x01" + len(purpose).to_bytes(8, "big") + purpose + row
print(crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[33:], data, sealed[9:33], derive(b"purpose " + purpose, 32)).decode(), end="")
`

// TestByLibsodium has another library open what we seal: the file and the values are of the form that is
// documented. The tests with real parts run it with a Python that has libsodium.
func TestByLibsodium(t *testing.T) {
	python := os.Getenv("MATRIX_AUTH_SEAL_PYTHON")
	if python == "" {
		t.Skip("MATRIX_AUTH_SEAL_PYTHON names no Python with libsodium")
	}
	h := newHouse(t)
	h.must(h.Load(t.Context(), true))
	script := filepath.Join(t.TempDir(), "open.py")
	h.must(os.WriteFile(script, []byte(openSealed), 0o600))
	for _, plain := range []string{"", "123456", strings.Repeat("ä long text ", 1000)} {
		sealed := hex.EncodeToString(h.mustSeal(codes, "row 1", plain))
		open := func(row string) ([]byte, error) {
			return exec.CommandContext(t.Context(), python, script, h.Path(), string(codes), row, sealed).CombinedOutput()
		}
		if got, err := open("row 1"); err != nil || string(got) != plain {
			t.Errorf("it opened %q: %v", got, err)
		}
		if got, err := open("row 2"); err == nil {
			t.Errorf("it opened another row's: %q", got)
		}
	}
}
