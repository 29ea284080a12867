// Package place opens files and sockets beside the database: without following links, and only if they belong to
// who may have put them there. A server's directory is writable by the server's user, and commands are often
// run as root: whoever has taken over the one must not lead the other by links (KEY-14). It does not know what the
// files hold.
package place

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Error says what is wrong with a file or a directory, and what to do about it.
type Error struct {
	Path string
	// What is wrong, in words that go on after the path; Change says what to do.
	What, Change string
	cause        error
}

// Error returns one sentence with the path.
func (e *Error) Error() string { return e.Path + " " + e.What + "; " + e.Change }

// Unwrap returns what the system said, if it did.
func (e *Error) Unwrap() error { return e.cause }

// isDirectory refuses a directory in the place of a file. Nobody is to be told to remove what is in it.
func isDirectory(path string) *Error {
	return newError(path, "is a directory", "name a file in it")
}

func newError(path, what, change string) *Error {
	return &Error{Path: path, What: what, Change: change}
}

// Openness is who may read a file beside its owner.
type Openness fs.FileMode

const (
	// Closed files are for their owner alone.
	Closed Openness = 0o600
	// Lent files are the same, but their owner may have lent them to others by an access list, which
	// takes the place of the group's bits.
	Lent Openness = 0o660
)

// Open opens a regular file without following a link at its end; as root not on the way there either,
// unless the link is root's. A new file has mode 0600. A file whose mode is more open than it should be is
// closed, and mended says so. It is an *Error if the file is not one of our own: root may also open those
// of the directory's owner.
func Open(path string, flag int, openness Openness) (f *os.File, mended string, err error) {
	f, err = open(path, flag)
	if err != nil {
		return nil, "", err
	}
	if mended, err = closeMode(f, path, openness); err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	return f, mended, nil
}

// closeMode checks an open file and closes its mode to others.
func closeMode(f *os.File, path string, openness Openness) (mended string, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if err := checkFile(path, info); err != nil {
		return "", err
	}
	have, want := info.Mode().Perm(), info.Mode().Perm()&fs.FileMode(openness)
	if have == want || !hasModes {
		return "", nil
	}
	if err := f.Chmod(want); err != nil {
		return "", newError(path, fmt.Sprintf("has mode %04o", have), fmt.Sprintf("chmod %04o %s", want, path))
	}
	return fmt.Sprintf("%s had mode %04o, and has %04o now", path, have, want), nil
}

// checkFile refuses what is no file of ours.
func checkFile(path string, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return newError(path, "is a symbolic link, and is not followed", "name the file itself, or remove the link")
	case info.IsDir():
		return isDirectory(path)
	case !info.Mode().IsRegular():
		return newError(path, "is not a regular file", "remove it, or name another file")
	case linkCount(info) > 1:
		return newError(path, "has a second name (a hard link), which somebody else may write by", "copy it, and put the copy in its place")
	}
	owner, known := Owner(info)
	if !known || owner == os.Geteuid() {
		return nil
	}
	if dir, err := os.Stat(filepath.Dir(path)); err == nil && os.Geteuid() == 0 {
		if of, _ := Owner(dir); of == owner {
			return nil
		}
	}
	return newError(path, "belongs to "+UserName(owner)+" and not to "+UserName(os.Geteuid()), "chown "+UserName(os.Geteuid())+" "+path)
}

// Inspect checks a file as Open does, without opening or changing it. A file that is not there is well.
func Inspect(path string, owner int, openness Openness) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	of, known := Owner(info)
	if problem := (*Error)(nil); errors.As(checkFile(path, info), &problem) && !(known && info.Mode().IsRegular() && linkCount(info) == 1) {
		return problem
	}
	if known && of != owner {
		return newError(path, "belongs to "+UserName(of)+" and not to "+UserName(owner), "chown "+UserName(owner)+" "+path)
	}
	if extra := info.Mode().Perm() &^ fs.FileMode(openness); extra != 0 && hasModes {
		return newError(path, fmt.Sprintf("has mode %04o, so that others can read or write it", info.Mode().Perm()),
			fmt.Sprintf("chmod %04o %s", info.Mode().Perm()&fs.FileMode(openness), path))
	}
	return nil
}

// CheckDir checks the directory of the database: whoever may write it can put another file in the place of
// each of ours. One of our own that everybody may write is closed, and mended says so. The group is taken
// to be trusted if it may write.
func CheckDir(dir string) (mended string, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	problem := checkDirectory(dir, info, os.Geteuid())
	if problem == nil {
		return "", nil
	}
	if owner, known := Owner(info); !known || owner != os.Geteuid() {
		return "", problem
	}
	want := info.Mode().Perm() &^ 0o002
	if err := os.Chmod(dir, want); err != nil {
		return "", problem
	}
	return fmt.Sprintf("%s had mode %04o, and has %04o now", dir, info.Mode().Perm(), want), nil
}

// InspectDir checks a directory as CheckDir does, for files of owner, without changing it.
func InspectDir(dir string, owner int) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if problem := checkDirectory(dir, info, owner); problem != nil {
		return problem
	}
	return nil
}

func checkDirectory(dir string, info fs.FileInfo, user int) *Error {
	if !info.IsDir() {
		return newError(dir, "is not a directory", "name another one")
	}
	owner, known := Owner(info)
	if !known || !hasModes {
		return nil
	}
	if info.Mode().Perm()&0o002 != 0 {
		change := fmt.Sprintf("chmod o-w %s", dir)
		if owner != user {
			change = "keep the database in a directory of its own"
		}
		return newError(dir, fmt.Sprintf("has mode %04o, so that everybody may put files there", info.Mode().Perm()), change)
	}
	// Root may work in a directory of somebody else, as containers do on the disks of their hosts.
	if owner != user && owner != 0 && user != 0 {
		return newError(dir, "belongs to "+UserName(owner)+" and not to "+UserName(user), "chown "+UserName(user)+" "+dir)
	}
	return nil
}

// maxSmall bounds what ReadSmall reads, in bytes.
const maxSmall = 64 << 10

// ReadSmall reads a small file as Open opens it.
func ReadSmall(path string, openness Openness) ([]byte, error) {
	f, _, err := Open(path, os.O_RDONLY, openness)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSmall))
	return data, errors.Join(err, f.Close())
}

// Replace puts a file with the given content in the place of path, at once and durably: what was there is
// neither opened for writing nor followed. Root gives the new file to the owner of the directory. An
// access list of the file that was there goes over to the new one.
func Replace(path string, data []byte) error {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.replace(filepath.Base(path), "."+filepath.Base(path)+"."+rand.Text(), data), dir.close())
}

// Rename gives a file another name in its directory, at once and durably. What had that name is replaced.
func Rename(path, name string) error {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.rename(filepath.Base(path), filepath.Base(name)), dir.close())
}

// Create makes a file with the given content, for its owner alone, without following a link on the way. Root
// gives it to the owner of the directory. It is fs.ErrExist if there is anything of this name.
func Create(path string, data []byte) error {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.create(filepath.Base(path), data), dir.close())
}

// MakeDir makes a directory and those above it that are missing, for their owner alone. Root makes them for
// a user, and only below a directory that is theirs: elsewhere they could not make any themselves.
func MakeDir(path string, uid, gid int) error {
	if os.Geteuid() != 0 || uid == 0 || !hasModes {
		return os.MkdirAll(path, 0o700)
	}
	there, missing, err := existingParent(path)
	if err != nil {
		return err
	}
	dir, err := openDir(there)
	if err != nil {
		return err
	}
	return errors.Join(dir.makeBelow(path, missing, uid, gid), dir.close())
}

// existingParent returns the lowest directory on the way to a path that is there, and the names below it that are missing.
func existingParent(path string) (there string, missing []string, err error) {
	for there = filepath.Clean(path); ; there = filepath.Dir(there) {
		_, err := os.Lstat(there)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || there == filepath.Dir(there) {
			slices.Reverse(missing)
			return there, missing, err
		}
		missing = append(missing, filepath.Base(there))
	}
}
