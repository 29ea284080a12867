//go:build !unix

package place

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// hasModes reports whether files have an owner and a mode; here access lists, which directories hand down, take
// their place.
const hasModes = false

// Owner is not known on this system.
func Owner(fs.FileInfo) (uid int, known bool) { return 0, false }

func linkCount(fs.FileInfo) uint64 { return 1 }

// UserName returns the id.
func UserName(uid int) string { return strconv.Itoa(uid) }

type directory struct{ path string }

func openDir(path string) (directory, error) { return directory{path}, nil }

func (d directory) close() error { return nil }

// open refuses links before it opens.
func open(path string, flag int) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil {
		if err := checkFile(path, info); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, flag, 0o600)
}

func (d directory) replace(name, temporary string, data []byte) error {
	temporary = filepath.Join(d.path, temporary)
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(temporary, filepath.Join(d.path, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}

func (d directory) rename(name, as string) error {
	return os.Rename(filepath.Join(d.path, name), filepath.Join(d.path, as))
}

func (d directory) create(name string, data []byte) error {
	path := filepath.Join(d.path, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func (d directory) makeBelow(path string, _ []string, _, _ int) error {
	return os.MkdirAll(path, 0o700)
}

// NoFollow is nothing on this system, where links need a right of their own.
const NoFollow = 0

// Guarded is not known on this system.
func Guarded(string) (owner int, ok bool) { return 0, false }

// BecomeOwner does nothing: this system has no root.
func BecomeOwner(string) (name string, err error) { return "", nil }

// BecomeOwnerOfMissing does nothing: this system has no root.
func BecomeOwnerOfMissing(string) (name string, err error) { return "", nil }
