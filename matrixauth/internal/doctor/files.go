package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
)

const filesCheck = "files"

// ExamineFiles looks at whose the files of a database are and who else may read or write them, without
// opening any of them. It is for a database without a server, which is found to be nothing if it is not
// there; a running server looks itself.
func ExamineFiles(database, secretFile string) []Finding {
	info, err := os.Lstat(database)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var dir fs.FileInfo
	if err == nil {
		dir, err = os.Stat(filepath.Dir(database))
	}
	if err != nil {
		return []Finding{Wrong(filesCheck, "unreadable", explain(err), database, "run the doctor as the server's user or as root")}
	}
	owner, _ := place.Owner(info)
	if of, _ := place.Owner(dir); of != 0 {
		owner = of
	}
	return examineFiles(database, secretFile, owner)
}

// examineFiles judges the files by the user that the server runs as.
func examineFiles(database, secretFile string, owner int) (all []Finding) {
	look := func(err error) {
		var problem *place.Error
		switch {
		case err == nil:
		case errors.As(err, &problem):
			all = append(all, Wrong(filesCheck, "open", problem.Path+" "+problem.What, problem.Path, problem.Change))
		default:
			all = append(all, Wrong(filesCheck, "unreadable", err.Error(), database, "run the doctor as the server's user or as root"))
		}
	}
	look(place.InspectDir(filepath.Dir(database), owner))
	for _, file := range store.Files(database) {
		look(place.Inspect(file, owner, place.Closed))
	}
	look(place.Inspect(secretFile, owner, place.Lent))
	look(place.Inspect(seal.Path(database), owner, place.Closed))
	look(place.Inspect(tokenkey.Path(database), owner, place.Closed))
	return all
}

// Files sees that the files beside the database are the server's alone.
func (d *Visit) Files() {
	found := examineFiles(d.Store.Path(), d.SecretFile, os.Geteuid())
	d.Findings = append(d.Findings, found...)
	if len(found) > 0 {
		return
	}
	what := "the database and what lies beside it are the server's and closed to others"
	if mended := d.Store.Mended(); len(mended) > 0 {
		what += fmt.Sprintf("; they were not until it started: %s", strings.Join(mended, "; "))
	}
	d.good(filesCheck, "%s", what)
}
