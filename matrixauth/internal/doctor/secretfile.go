package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// SynapseUser is the user that Synapse runs as on this machine. The zero value means that it is not known, or
// that Synapse runs elsewhere.
type SynapseUser struct {
	// Name is for messages and commands; an id if the user has no name.
	Name string
	UID  int
	GIDs []int
	// By says how the user was found.
	By string
}

const secretFileCheck = "secret file"

// ExamineSecretFile looks whether Synapse's user may read the file of the secret, by modes and access lists,
// without opening it. It finds nothing where nothing can be told: no file, no user, or another machine's.
func ExamineSecretFile(path string, who SynapseUser) []Finding {
	if path == "" || who.Name == "" || !filepath.IsAbs(path) {
		return nil
	}
	obstacles, err := place.MayRead(path, place.Reader{UID: who.UID, GIDs: who.GIDs})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
		return nil // other checks say so
	case errors.Is(err, fs.ErrPermission):
		return []Finding{Well(secretFileCheck, "whether %s, as whom Synapse runs, may read %s is not seen from here; run the command as root to have it looked at", who.Name, path)}
	case err != nil:
		return []Finding{Wrong(secretFileCheck, "unreadable", err.Error(), path, "name another file by secret_file in the Caddyfile, and by secret_path in homeserver.yaml")}
	case len(obstacles) == 0:
		return []Finding{Well(secretFileCheck, "%s, as whom Synapse runs, may read %s", who.Name, path)}
	}
	return []Finding{closedTo(path, who, obstacles)}
}

// closedTo returns the finding of a file that Synapse's user may not read, with the commands that open it to them
// and to nobody else.
func closedTo(path string, who SynapseUser, obstacles []place.Obstacle) Finding {
	var dirs, commands []string
	where := path
	for _, o := range obstacles {
		if o.Dir {
			dirs = append(dirs, quoteShell(o.Path))
		}
	}
	if len(dirs) > 0 {
		where = obstacles[0].Path
		commands = append(commands, fmt.Sprintf("setfacl -m u:%s:x %s", who.Name, strings.Join(dirs, " ")))
	}
	if last := obstacles[len(obstacles)-1]; !last.Dir {
		commands = append(commands, fmt.Sprintf("setfacl -m u:%s:r %s", who.Name, quoteShell(last.Path)))
	}
	return Wrong(secretFileCheck, "closed", fmt.Sprintf("%s, as whom Synapse runs (%s), may not read %s, so Synapse does not start, or keeps an older secret", who.Name, who.By, path), where,
		strings.Join(commands, "\n")+"\nor keep the secret in a file that both may read, and name it by secret_file in the Caddyfile")
}

// quoteShell writes a path so that a shell takes it as it is.
func quoteShell(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+:@%=,", r) && !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// nobody is a user whom no file belongs to and no group or access list names.
const nobody = -1

// OpenToAll reports whether every user of this machine may read a file, by modes and access lists. It is false
// where that cannot be told.
func OpenToAll(path string) bool {
	obstacles, err := place.MayRead(path, place.Reader{UID: nobody})
	return err == nil && len(obstacles) == 0
}
