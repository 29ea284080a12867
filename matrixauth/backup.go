package matrixauth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// CreateBackup makes the file of a backup, for its owner alone. It refuses a file that exists, be it a link.
func CreateBackup(path string) (*os.File, error) {
	f, _, err := place.Open(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, place.Closed)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists already; name a new file for the backup", path)
	}
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return f, nil
}

func (s *Server) noteBackup(context.Context, model.Actor, struct{}) (struct{}, error) {
	if err := s.core.store.NoteCopied(); err != nil {
		s.core.logger().Warn("the time of a backup could not be kept", "error", err)
	}
	return struct{}{}, nil
}

// backupState tells of the copies that the server in force makes by itself, if it does.
func (c *Core) backupState() (newest time.Time, failing, configured bool) {
	s := c.current()
	if s == nil || s.backups == nil {
		return time.Time{}, false, false
	}
	state := s.backups.State()
	return state.Newest, state.Problem != nil, true
}
