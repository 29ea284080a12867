package synapseconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Write puts the migration into the file at path and returns the path of a copy of what was there.
//
// The copy stands beside the file, named after it and now (UTC), with the same mode and owner; an
// existing one is never overwritten. Then the file is replaced in one step, so that Synapse sees the
// old or the new one. A symbolic link stays and its target is replaced. ErrChanged means that the file
// is not the one that the migration was made from. When the returned path is empty the file is as it was.
func Write(path string, m *Migration, now time.Time) (backup string, err error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(target)
	if err != nil {
		return "", err
	}
	if err := m.checkUnchanged(path, target); err != nil {
		return "", err
	}
	temporary, err := copyBeside(target, m.New, info)
	if err != nil {
		return "", err
	}
	backup = target + "." + now.UTC().Format("20060102T150405Z") + ".bak"
	if err := createLike(backup, m.old, info); err != nil {
		return "", errors.Join(fmt.Errorf("make the backup copy: %w", err), os.Remove(temporary))
	}
	// Once more, as late as can be: an editor may have saved the file in between.
	err = m.checkUnchanged(path, target)
	if err == nil {
		err = os.Rename(temporary, target)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(temporary), os.Remove(backup))
	}
	return backup, syncDirectory(filepath.Dir(target))
}

func (m *Migration) checkUnchanged(path, target string) error {
	current, err := readBounded(target, MaxSize)
	if err != nil {
		return err
	}
	if !bytes.Equal(current, m.old) {
		return &Error{Path: path, Reason: ErrChanged.Error() + "; read it again", kind: ErrChanged}
	}
	return nil
}

// copyBeside writes data to a new file in target's directory, from which a rename is atomic.
func copyBeside(target string, data []byte, like fs.FileInfo) (path string, err error) {
	file, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return "", err
	}
	return file.Name(), fill(file, data, like)
}

// createLike writes data to a file that must not exist yet.
func createLike(path string, data []byte, like fs.FileInfo) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return fill(file, data, like)
}

// fill gives a new file its owner and mode before its content, so that nobody reads it in between who
// could not read the original; on an error the file is removed.
func fill(file *os.File, data []byte, like fs.FileInfo) error {
	err := sameOwner(file, like)
	if err == nil {
		err = file.Chmod(like.Mode().Perm())
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
