package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func restoreCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Puts a backup in the place of the database, which no server may have open; - is standard input", Args: cobra.ExactArgs(1),
		Long: `Puts a backup in the place of the database, which no server may have open.

FILE is a copy that "backup" made. What was there is kept under another name. As far as it can be read, what was
ended, locked, deactivated, withdrawn or changed since the backup is done again;
the rest is listed. Nobody is signed out, as long as the file of the keys of
tokens is there.`,
	}
	cmd.RunE = siteRun(func(cmd *cobra.Command, args []string, s site) error {
		// Before anything else: a command of root's goes on as the owner of the database.
		file, name, err := s.openBackup(cmd, args[0])
		if err != nil {
			return err
		}
		done, err := s.restore(cmd, matrixauth.Backup{From: file, Name: name, DryRun: dryRun})
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
		return printRestored(cmd, done)
	})
	dryRunFlag(cmd, &dryRun)
	jsonFlag(cmd)
	return cmd
}

// openBackup opens the file of a backup, or standard input.
func (s site) openBackup(cmd *cobra.Command, named string) (file io.ReadCloser, name string, err error) {
	if named == "-" {
		if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
			return nil, "", errors.New("standard input is a terminal; name the file of a backup, or send one by a pipe")
		}
		return io.NopCloser(cmd.InOrStdin()), "standard input", nil
	}
	path, err := filepath.Abs(named)
	if err != nil {
		return nil, "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	if !info.Mode().IsRegular() {
		return nil, "", fmt.Errorf("%s is not a regular file; name the file of a backup", path)
	}
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return nil, "", fmt.Errorf("beside %[1]s lies %[1]s-wal, which holds a part of it, so it is no backup by itself; make one of it by \"caddy matrix-auth backup NEWFILE --database %[1]s\" and restore that", path)
	}
	file, err = os.Open(path)
	return file, path, err
}

// restore puts a backup in the place of a site's database.
func (s site) restore(cmd *cobra.Command, b matrixauth.Backup) (done matrixauth.Restored, err error) {
	o, err := s.reachServer(cmd.Context(), cmd)
	if err == nil { // which a command can tell that lacks the service's variables
		return done, errors.Join(fmt.Errorf("a server has the database %s; stop it first (systemctl stop caddy), restore, and start it again", o.Database()), o.Close())
	}
	if s.problem != nil {
		return done, s.problem
	}
	if !errors.Is(err, matrixauth.ErrNoServer) {
		return done, err
	}
	path, there, err := s.stored()
	if err != nil {
		return done, err
	}
	if other := s.orElse(path); !there && other != "" {
		return done, fmt.Errorf("there is no database at %s%s", path, other)
	}
	if sameFile(path, b.Name) {
		return done, fmt.Errorf("%s is the database itself; name the file of a backup", b.Name)
	}
	if !there {
		if err := s.makeDatabaseDir(path); err != nil {
			return done, err
		}
	}
	return matrixauth.RestoreDatabase(cmd.Context(), s.target(path, false), s.config, matrixauth.Deps{
		Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, b)
}

// makeDatabaseDir makes the directory of a database that is lost, for the server's user.
func (s site) makeDatabaseDir(path string) error {
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		return nil // the file will belong to who owns the directory
	}
	uid, gid := os.Geteuid(), os.Getegid()
	switch {
	case uid == 0 && s.service.known:
		uid, gid = s.service.uid, s.service.gid
	case uid == 0:
		return fmt.Errorf("%s is not there, and it cannot be told as which user Caddy runs; make it, or name the user by --service-user (root, if that is who runs it)", filepath.Dir(path))
	}
	return matrixauth.MakeDatabaseDir(path, uid, gid)
}

func printRestored(cmd *cobra.Command, done matrixauth.Restored) error {
	if !done.DryRun {
		how := "no server is running"
		if done.ActingAs != "" {
			how += ", acting as " + done.ActingAs
		}
		if err := errors.Join(say(cmd.ErrOrStderr(), "database %s (%s)", done.Database, how), say(cmd.ErrOrStderr(), "%s", noted)); err != nil {
			return err
		}
	}
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), done)
	}
	say := func(format string, args ...any) (err error) { return say(cmd.OutOrStdout(), format, args...) }
	asOf := ""
	if !done.AsOf.IsZero() {
		asOf = ", as of " + formatTime(done.AsOf)
	}
	verb := "is now"
	if done.DryRun {
		verb = "would become"
	}
	errs := []error{say("%s %s %s%s", done.Database, verb, done.Backup, asOf)}
	if done.Kept != "" {
		errs = append(errs, say("what was there is %s", done.Kept))
	}
	if done.Unread != "" {
		errs = append(errs, say("nothing was done again of what happened since: %s", done.Unread))
	} else {
		a := done.Again
		errs = append(errs, say("done again: %d sessions ended, %d users deactivated, %d locked, %d demoted, %d passwords changed, %d consents withdrawn, %d apps removed, %d invitations revoked or used, %d registrations rejected",
			a.SessionsEnded, a.UsersDeactivated, a.UsersLocked, a.UsersDemoted, a.PasswordsChanged, a.ConsentsWithdrawn, a.ClientsRemoved, a.InvitationsRestricted, a.RegistrationsRejected))
	}
	if done.Held > 0 {
		errs = append(errs, say("%d deletions of devices are held back: see \"caddy matrix-auth outbox list --refused\"", done.Held))
	}
	for _, one := range done.ByHand {
		errs = append(errs, say("by hand: %s: %s", one.What, one.How))
	}
	if done.DryRun {
		errs = append(errs, say("nothing is changed"))
	}
	return errors.Join(errs...)
}
