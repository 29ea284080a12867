package matrixauth

import (
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

// noteCopied remembers that a copy was given out whole, for the metrics. Where that cannot be kept it is known
// until the end of this process.
func (c *Core) noteCopied() {
	if err := c.store.NoteCopied(); err != nil {
		c.logger().Warn("the time of a backup could not be kept", "error", err)
	}
}
