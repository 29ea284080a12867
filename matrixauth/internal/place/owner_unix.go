//go:build unix

package place

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Guarded returns the owner of a file if nobody but they, root and the caller can have put it there: all
// directories on the way are theirs and nobody else may write them, and links on the way are root's or the
// caller's.
func Guarded(path string) (owner int, ok bool) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || linkCount(info) > 1 {
		return 0, false
	}
	owner, _ = Owner(info)
	may := func(uid int) bool { return uid == 0 || uid == os.Geteuid() }
	at, rest := "/", strings.TrimPrefix(filepath.Dir(path), "/")
	for links := 0; ; {
		here, err := os.Lstat(at)
		if err != nil {
			return 0, false
		}
		of, _ := Owner(here)
		if here.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(at)
			if links++; err != nil || !may(of) || links > maxLinks {
				return 0, false
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(at), target)
			}
			at, rest = "/", strings.TrimPrefix(filepath.Join(target, rest), "/")
			continue
		}
		if !here.IsDir() || here.Mode().Perm()&0o022 != 0 || !may(of) && of != owner {
			return 0, false
		}
		if rest == "" || rest == "." {
			return owner, true
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		at = filepath.Join(at, name)
	}
}

// BecomeOwner has a process of root go on as the owner of a database for good, and returns their name; it is
// empty if nothing was to be done. What root made in the directory would lock the owner out, and an owner
// who was taken over could lead root anywhere from it: so root opens nothing there.
func BecomeOwner(path string) (name string, err error) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // whoever opens it says so
	}
	if err != nil {
		return "", err
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	owner, _ := Owner(info)
	of, _ := Owner(dir)
	switch {
	case info.Mode()&fs.ModeSymlink != 0, !info.Mode().IsRegular():
		return "", checkFile(path, info)
	case of != 0 && owner != of:
		return "", newError(path, "belongs to "+UserName(owner)+", and its directory to "+UserName(of), "chown "+UserName(of)+" "+path)
	case owner == 0:
		return "", nil
	}
	return UserName(owner), become(owner, group(info))
}

// BecomeOwnerOfMissing is BecomeOwner for a database that is to be made in a directory: its owner has it then.
func BecomeOwnerOfMissing(path string) (name string, err error) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	owner, _ := Owner(dir)
	if owner == 0 {
		return "", nil
	}
	return UserName(owner), become(owner, group(dir))
}

// become gives up root. The system's own groups of the user come along.
func become(uid, gid int) error {
	gid, groups, err := groupsOf(uid, gid)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups(groups) }, func() error { return syscall.Setgid(gid) }, func() error { return syscall.Setuid(uid) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("the command cannot go on as %s: %w", UserName(uid), err)
		}
	}
	if os.Geteuid() != uid || os.Getuid() != uid {
		return fmt.Errorf("the command cannot go on as %s", UserName(uid))
	}
	return nil
}

// groupsOf returns the groups of a user by the system; for an id without a name it is the given one alone.
func groupsOf(uid, given int) (gid int, groups []int, err error) {
	groups = []int{}
	found, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return given, groups, nil //nolint:nilerr // containers have users without a name
	}
	if gid, err = strconv.Atoi(found.Gid); err != nil {
		gid = given
	}
	ids, err := found.GroupIds()
	if err != nil {
		return gid, nil, fmt.Errorf("the groups of %s: %w", found.Username, err)
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			groups = append(groups, n)
		}
	}
	return gid, groups, nil
}
