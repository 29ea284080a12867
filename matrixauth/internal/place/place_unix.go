//go:build unix

package place

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// hasModes reports whether files have an owner and a mode.
const hasModes = true

// Owner returns the user id of a file's owner.
func Owner(info fs.FileInfo) (uid int, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

func group(info fs.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return os.Getegid()
	}
	return int(stat.Gid)
}

// linkCount returns how many names a file has.
func linkCount(info fs.FileInfo) uint64 {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(stat.Nlink) //nolint:unconvert // its size differs between systems
}

// UserName returns the name of a user for a message and for chown: the id if it has none.
func UserName(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return found.Username
	}
	return strconv.Itoa(uid)
}

// directory is an open directory: what is done in it is done there, whatever its path leads to meanwhile.
type directory struct{ f *os.File }

func (d directory) close() error { return d.f.Close() }

// open opens a file without following a link at its end, nor waiting at a pipe.
func open(path string, flag int) (*os.File, error) {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f, err := dir.open(filepath.Base(path), path, flag)
	return f, errors.Join(err, dir.close())
}

func (d directory) open(name, path string, flag int) (*os.File, error) {
	fd, err := openat(int(d.f.Fd()), name, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EMLINK):
		return nil, newError(path, "is a symbolic link, and is not followed", "name the file itself, or remove the link")
	case errors.Is(err, unix.EISDIR):
		return nil, isDirectory(path)
	case errors.Is(err, unix.ENXIO):
		return nil, newError(path, "is not a regular file", "remove it, or name another file")
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, denied(path, err)
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// denied says whose the file is that we may not open.
func denied(path string, err error) error {
	info, statErr := os.Lstat(path)
	if statErr != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	owner, _ := Owner(info)
	if owner == os.Geteuid() {
		return newError(path, fmt.Sprintf("may not be opened (mode %04o)", info.Mode().Perm()), "chmod 0600 "+path)
	}
	problem := newError(path, "belongs to "+UserName(owner)+" and not to "+UserName(os.Geteuid()),
		"run the command as "+UserName(owner)+" or as root, or chown "+UserName(os.Geteuid())+" "+path)
	problem.cause = err
	return problem
}

// openat is the system's, called again when a signal came between.
func openat(dir int, name string, flag int, mode uint32) (fd int, err error) {
	for {
		if fd, err = unix.Openat(dir, name, flag, mode); err != unix.EINTR {
			return fd, err
		}
	}
}

// maxLinks bounds the links that are followed on one way.
const maxLinks = 40

// openDir opens a directory. As root it follows on the way only links that root made: the owner of a
// directory above may lead anywhere by others. Who is not root is led to nothing that they could not open
// anyway.
func openDir(path string) (directory, error) {
	if os.Geteuid() != 0 {
		f, err := os.OpenFile(path, unix.O_DIRECTORY, 0)
		return directory{f}, err
	}
	rest, err := filepath.Abs(path)
	if err != nil {
		return directory{}, err
	}
	at, links := "/", 0
	dir, err := os.OpenFile("/", unix.O_DIRECTORY, 0)
	for err == nil && strings.Trim(rest, "/") != "" {
		var name string
		name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		fd, openErr := openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		here := filepath.Join(at, name)
		if openErr == nil {
			err = dir.Close()
			at, dir = here, os.NewFile(uintptr(fd), here)
			continue
		}
		target, linkErr := rootsLink(int(dir.Fd()), name, here)
		if links++; linkErr != nil || target == "" || links > maxLinks {
			return directory{}, errors.Join(cmp.Or[error](linkErr, &fs.PathError{Op: "open", Path: here, Err: openErr}), dir.Close())
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(at, target)
		}
		rest, at = filepath.Join(target, rest), "/"
		err = dir.Close()
		if err == nil {
			dir, err = os.OpenFile("/", unix.O_DIRECTORY, 0)
		}
	}
	return directory{dir}, err
}

// rootsLink returns where a link of root's leads; empty for anything but a link.
func rootsLink(dir int, name, path string) (target string, err error) {
	var stat unix.Stat_t
	if err := unix.Fstatat(dir, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", nil // what opening it said is the better error
	}
	if stat.Uid != 0 {
		return "", newError(path, "is a symbolic link of "+UserName(int(stat.Uid))+", which root does not follow", "name the directory itself")
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buffer)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(buffer[:n]), nil
}

// replace writes a new file under another name and renames it.
func (d directory) replace(name, temporary string, data []byte) error {
	path := filepath.Join(d.f.Name(), name)
	f, err := d.open(temporary, path, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	if err != nil {
		return err
	}
	err = d.copyOwnership(f, name)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = unix.Renameat(int(d.f.Fd()), temporary, int(d.f.Fd()), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s cannot be written: %w", path, err), unix.Unlinkat(int(d.f.Fd()), temporary, 0))
	}
	return d.f.Sync()
}

func (d directory) rename(name, as string) error {
	if err := unix.Renameat(int(d.f.Fd()), name, int(d.f.Fd()), as); err != nil {
		return &fs.PathError{Op: "rename", Path: filepath.Join(d.f.Name(), name), Err: err}
	}
	return d.f.Sync()
}

// create writes a file that was not there.
func (d directory) create(name string, data []byte) error {
	path := filepath.Join(d.f.Name(), name)
	f, err := d.open(name, path, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	if err != nil {
		return err
	}
	if err = d.giveToOwner(f); err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("%s cannot be written: %w", path, err), unix.Unlinkat(int(d.f.Fd()), name, 0))
	}
	return d.f.Sync()
}

// makeBelow makes directories, one in the other, for a user.
func (d directory) makeBelow(path string, names []string, uid, gid int) error {
	info, err := d.f.Stat()
	if err != nil {
		return err
	}
	switch owner, _ := Owner(info); {
	case owner == uid:
	case len(names) == 0:
		return newError(path, "belongs to "+UserName(owner)+" and not to "+UserName(uid), "chown "+UserName(uid)+" "+path)
	default:
		return newError(path, "is not there, and "+d.f.Name()+" belongs to "+UserName(owner),
			fmt.Sprintf("make it: install -d -m 700 -o %s %s", UserName(uid), path))
	}
	at := d
	for _, name := range names {
		here := filepath.Join(at.f.Name(), name)
		made := unix.Mkdirat(int(at.f.Fd()), name, 0o700)
		if made != nil && !errors.Is(made, unix.EEXIST) {
			return &fs.PathError{Op: "mkdir", Path: here, Err: made}
		}
		fd, err := openat(int(at.f.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return &fs.PathError{Op: "open", Path: here, Err: err}
		}
		next := directory{os.NewFile(uintptr(fd), here)}
		defer next.close() //nolint:errcheck // it was read only
		if made == nil {
			if err := next.f.Chown(uid, gid); err != nil {
				return err
			}
		}
		at = next
	}
	return nil
}

// giveToOwner gives a new file to the owner of the directory, if we are root.
func (d directory) giveToOwner(f *os.File) error {
	info, err := d.f.Stat()
	if err != nil {
		return err
	}
	if owner, _ := Owner(info); os.Geteuid() == 0 && owner != 0 {
		return f.Chown(owner, group(info))
	}
	return nil
}

// copyOwnership gives a new file the owner of the directory, if we are root, and the access list of the file whose
// place it takes.
func (d directory) copyOwnership(f *os.File, name string) error {
	if err := d.giveToOwner(f); err != nil {
		return err
	}
	fd, err := openat(int(d.f.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // there is no file, or none of ours
	}
	before := os.NewFile(uintptr(fd), name)
	return errors.Join(copyAccess(before, f), before.Close())
}

// NoFollow is the flag by which a file is opened without following a link at its end.
const NoFollow = unix.O_NOFOLLOW
