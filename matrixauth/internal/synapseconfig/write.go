package synapseconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// Written is a file that was written, and the copy of what was there.
type Written struct{ Path, Backup string }

// Write puts the migrations into their files, all of them or none, and returns the paths of those that were written and of
// copies of what was there.
//
// A copy stands beside its file, named after it and now (UTC), with the same owner, mode and access list; an
// existing one is never overwritten. Then the file is replaced in one step, so that Synapse sees the
// old or the new one. A symbolic link stays and its target is replaced. A link of somebody else is refused,
// so that nobody can send a command of root to a file of their choice. ErrChanged means that a file is not
// the one that the migration was made from. When nothing is returned as written the files are as they were.
func Write(all []*Migration, now time.Time) (written []Written, err error) {
	var staged []*stagedFile
	for _, m := range all {
		s, err := m.stage(now)
		if err != nil {
			return nil, errors.Join(err, undo(staged))
		}
		staged = append(staged, s)
	}
	for _, s := range staged {
		if err := s.commit(); err != nil {
			return nil, errors.Join(err, undo(staged))
		}
	}
	for _, s := range staged {
		written = append(written, Written{s.target, s.backup})
		err = errors.Join(err, syncDirectory(filepath.Dir(s.target)))
	}
	return written, err
}

// stagedFile is a file that is about to be replaced.
type stagedFile struct {
	*Migration
	target, temporary, backup string
	info                      fs.FileInfo
	committed                 bool
}

// stage makes the new file and the copy, each under another name.
func (m *Migration) stage(now time.Time) (*stagedFile, error) {
	if m.unready {
		return nil, &Error{Path: m.Path, Reason: "cannot be written, as there is no secret yet"}
	}
	target, info, err := m.target()
	if err != nil {
		return nil, err
	}
	if err := m.checkUnchanged(target); err != nil {
		return nil, err
	}
	temporary, err := copyBeside(target, m.New, info)
	if err != nil {
		return nil, err
	}
	backup := backupName(target, now)
	if err := createLike(backup, m.old, target, info); err != nil {
		return nil, errors.Join(fmt.Errorf("make the backup copy: %w", err), os.Remove(temporary))
	}
	return &stagedFile{Migration: m, target: target, temporary: temporary, backup: backup, info: info}, nil
}

// commit puts the new file in its place.
func (s *stagedFile) commit() error {
	// Checked again as late as possible: an editor may have saved the file in between.
	if err := s.checkUnchanged(s.target); err != nil {
		return err
	}
	if err := os.Rename(s.temporary, s.target); err != nil {
		return err
	}
	s.committed = true
	return nil
}

// undo takes back what was done to files. A copy stays if its content could not be put back.
func undo(staged []*stagedFile) (failed error) {
	for _, s := range staged {
		if !s.committed {
			failed = errors.Join(failed, os.Remove(s.temporary), os.Remove(s.backup))
			continue
		}
		temporary, err := copyBeside(s.target, s.old, s.info)
		if err == nil {
			err = os.Rename(temporary, s.target)
		}
		if err == nil {
			err = os.Remove(s.backup)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// target returns the file that a link in its place leads to, or the file itself.
func (m *Migration) target() (string, fs.FileInfo, error) {
	target, err := filepath.EvalSymlinks(m.Path)
	if err != nil {
		return "", nil, err
	}
	info, err := os.Stat(target)
	if err != nil {
		return "", nil, err
	}
	// One step at a time: each link on the way counts, not only the first.
	for at := m.Path; ; {
		here, err := os.Lstat(at)
		if err != nil {
			return "", nil, err
		}
		if here.Mode()&fs.ModeSymlink == 0 {
			return target, info, nil
		}
		if !mayLead(here, info) {
			return "", nil, &Error{Path: at, Reason: "is a link that belongs to somebody else; name the file that it leads to, " + target + ", if it is the right one"}
		}
		next, err := os.Readlink(at)
		if err != nil {
			return "", nil, err
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(at), next)
		}
		at = next
	}
}

func (m *Migration) checkUnchanged(target string) error {
	current, err := readBounded(target, bound.SynapseFile)
	if err != nil {
		return err
	}
	if !bytes.Equal(current, m.old) {
		return &Error{Path: m.Path, Reason: ErrChanged.Error() + "; read it again", kind: ErrChanged}
	}
	return nil
}

// copyBeside writes data to a new file in target's directory, from which a rename is atomic.
func copyBeside(target string, data []byte, like fs.FileInfo) (path string, err error) {
	file, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return "", err
	}
	return file.Name(), fill(file, data, target, like)
}

// createLike writes data to a file that must not exist yet.
func createLike(path string, data []byte, target string, like fs.FileInfo) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return fill(file, data, target, like)
}

// fill gives a new file the owner, mode and access list of target before its content, so that nobody reads it in between who
// could not read the original; on an error the file is removed.
func fill(file *os.File, data []byte, target string, like fs.FileInfo) error {
	err := sameOwner(file, like)
	if err == nil {
		err = file.Chmod(like.Mode().Perm())
	}
	if err == nil {
		err = sameAccess(file, target)
	}
	if err == nil {
		_, err = file.Write(data)
	}
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err != nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return err
}
