package matrixauth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

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

// NoteBackup has a server remember, for the metrics, that a copy that it gave out is kept whole: on the disk, or
// taken by whom the command wrote it to. Only the command knows that. Where the time cannot be kept it is known
// until the end of the server.
var NoteBackup = newQuery("backup.note", func(s *Server, _ context.Context, _ Nothing) (Nothing, error) {
	if err := s.core.store.NoteCopied(); err != nil {
		s.core.logger().Warn("the time of a backup could not be kept", "error", err)
	}
	return Nothing{}, nil
})
