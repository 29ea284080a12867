//go:build unix

package place

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The permissions of a mode, and of an entry of an access list.
const (
	mayRead   = 4
	mayEnter  = 1
	allRights = 7
)

// MayRead returns all that keeps a user from reading a file: the file, and the directories on the way to it,
// those of links among them. It goes by modes and access lists, and opens and changes nothing. What the system
// keeps from users in other ways (namespaces, security modules) does not show. An error means that the caller
// cannot look.
func MayRead(path string, who Reader) (all []Obstacle, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	at, rest, links := "/", strings.TrimPrefix(path, "/"), 0
	for {
		info, err := os.Lstat(at)
		if err != nil {
			return nil, err
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(at)
			if err != nil {
				return nil, err
			}
			if links++; links > maxLinks {
				return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("too many links")}
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(at), target)
			}
			at, rest = "/", strings.TrimPrefix(filepath.Join(target, rest), "/")
			continue
		case rest == "":
			may, err := allows(at, info, who, mayRead)
			if err == nil && !may {
				all = append(all, Obstacle{Path: at})
			}
			return all, err
		case !info.IsDir():
			return nil, &fs.PathError{Op: "open", Path: at, Err: errors.New("not a directory")}
		}
		may, err := allows(at, info, who, mayEnter)
		if err != nil {
			return nil, err
		}
		if o := (Obstacle{Path: at, Dir: true}); !may && !slices.Contains(all, o) {
			all = append(all, o)
		}
		var name string
		name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		at, rest = filepath.Join(at, name), strings.Trim(rest, "/")
	}
}

// allows checks one file or directory as the system does (acl(5), "access check algorithm").
func allows(path string, info fs.FileInfo, who Reader, want uint16) (bool, error) {
	if who.UID == 0 {
		return true, nil
	}
	owner, _ := Owner(info)
	mode := uint16(info.Mode().Perm())
	if owner == who.UID {
		return mode>>6&want == want, nil
	}
	list, err := accessEntries(path)
	if err != nil {
		return false, err
	}
	if len(list) == 0 {
		list = []accessEntry{{tagGroup, mode >> 3 & allRights, 0}, {tagOther, mode & allRights, 0}}
	}
	mask := uint16(allRights)
	for _, e := range list {
		if e.tag == tagMask {
			mask = e.rights
		}
	}
	for _, e := range list {
		if e.tag == tagUser && e.id == who.UID {
			return e.rights&mask&want == want, nil
		}
	}
	named := false
	for _, e := range list {
		if e.tag == tagGroup {
			e.id = group(info)
		}
		if e.tag != tagGroup && e.tag != tagNamedGroup || !slices.Contains(who.GIDs, e.id) {
			continue
		}
		if named = true; e.rights&mask&want == want {
			return true, nil
		}
	}
	if named {
		return false, nil
	}
	for _, e := range list {
		if e.tag == tagOther {
			return e.rights&want == want, nil
		}
	}
	return false, nil
}

// accessEntry is an entry of an access list: who it is for, and what they may.
type accessEntry struct {
	tag, rights uint16
	id          int
}

// The tags of entries, as Linux has them in the attribute. That of the owner is not looked at: the mode says the same.
const (
	tagUser       = 0x02
	tagGroup      = 0x04
	tagNamedGroup = 0x08
	tagMask       = 0x10
	tagOther      = 0x20
)
