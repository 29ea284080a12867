package synapseconfig

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode"
)

// readSecret reads a file that holds one secret as Synapse does: whole, without the blanks around it.
// The error says why the file cannot be used and never what it holds.
func (f *File) readSecret(path string, line int, key string) (string, error) {
	data, err := readBounded(f.resolve(path), maxSecretSize)
	if err != nil {
		hint := ""
		if !filepath.IsAbs(path) {
			hint = "; Synapse opens a relative path from the directory that it is started in, so write an absolute path"
		}
		return "", f.kindf(err, line, "%s: cannot read %s: %s%s", key, path, reasonOf(err), hint)
	}
	// Python's str.strip() also takes the four separators below the blank.
	secret := strings.TrimFunc(string(data), func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
	if secret == "" {
		return "", f.errorf(line, "%s: the file %s is empty", key, path)
	}
	return secret, nil
}

func (f *File) resolve(path string) string {
	if f.Dir == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(f.Dir, path)
}

func reasonOf(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// IsBearer reports whether a secret can be sent as "Authorization: Bearer <text>": Synapse splits that
// header at blanks and reads it as ASCII.
func IsBearer(secret string) bool {
	for i := range len(secret) {
		if secret[i] <= ' ' || secret[i] > '~' {
			return false
		}
	}
	return secret != ""
}
