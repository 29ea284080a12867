package caddymodule

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func forgetCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "forget", Short: "Has a server begin anew whose database is lost for good, without the sessions that there were", Args: cobra.NoArgs}
	cmd.RunE = siteRun(func(cmd *cobra.Command, _ []string, s site) error { return s.forget(cmd) })
	yesFlag(cmd)
	return cmd
}

// forget puts the keys of tokens of a database aside that is lost, and has it be no database that was here.
func (s site) forget(cmd *cobra.Command) error {
	operator, noServer := s.reachServer(cmd.Context(), cmd)
	if noServer == nil { // which a command can tell that lacks the service's variables
		return errors.Join(fmt.Errorf("nothing is forgotten: the server is open with the database %s", operator.Database()), operator.Close())
	}
	if s.problem != nil {
		return s.problem
	}
	path, _, err := s.stored()
	if err != nil {
		return err
	}
	if of, _, err := s.plain().stored(); err != nil || of != path {
		return errors.Join(fmt.Errorf("%s is not the database of this configuration", path), err)
	}
	if !errors.Is(noServer, matrixauth.ErrNoServer) {
		return noServer
	}
	lost := matrixauth.CheckForget(cmd.Context(), path, s.config.KeyFile)
	noKeys := errors.Is(lost, matrixauth.ErrNothingToForget)
	lists := s.rememberingFiles(path)
	if lost != nil && (!noKeys || len(lists) == 0) {
		return lost
	}
	if err := confirm(cmd, fmt.Sprintf("Is the database %s lost for good? With a new one everybody is signed out, and has to add their accounts' keys anew.", path)); err != nil {
		return err
	}
	if !noKeys {
		kept, err := matrixauth.ForgetKeys(cmd.Context(), path, s.config.KeyFile, time.Now())
		if err != nil {
			return err
		}
		if err := say(cmd.OutOrStdout(), "%s", kept); err != nil {
			return err
		}
	}
	for _, file := range lists {
		if err := unremember(file, path); err != nil {
			return fmt.Errorf("that there was the database %s is still kept in %s; take its line out: %w", path, file, err)
		}
	}
	return say(cmd.ErrOrStderr(), "a server that runs makes a new database within seconds; if the old one is found, move the new one away and give the keys their name back. "+
		"Until then apps wait that were signed in: \"caddy matrix-auth session lost --end\" has them ask their users to sign in again")
}

// rememberingFiles returns the files that keep that there was a database, if it is not there.
func (s site) rememberingFiles(database string) (files []string) {
	dirs := []string{filepath.Dir(rememberedFile())}
	if s.service.known && s.service.data != "" {
		if dir := filepath.Dir(defaultDatabase(s.service.data)); dir != dirs[0] {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		if file := filepath.Join(dir, filepath.Base(rememberedFile())); remembers(file, database) {
			files = append(files, file)
		}
	}
	return files
}
