package caddymodule

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// writePasswords writes hashes that changed here into Synapse's database, with Synapse stopped. What needs root's rights comes
// first, as in a move.
func (s site) writePasswords(cmd *cobra.Command, asked synapseMove) (err error) {
	ctx, stop := untilInterrupted(cmd.Context())
	defer stop()
	files, err := s.filesOfMove(cmd, asked)
	if err != nil {
		return err
	}
	if who := s.synapseRuns(ctx, files.Paths); who != "" {
		return fmt.Errorf("Synapse runs (%s), and would not see what is written; stop it first (systemctl stop matrix-synapse)", who)
	}
	into, err := matrixauth.OpenSynapsePasswords(ctx, files)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, into.Close()) }()
	o, err := s.reach(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeOperator(cmd, o)) }()
	done, err := into.Write(ctx, o)
	if err != nil {
		return moveEnded(ctx, cmd, err, "nothing was written")
	}
	return printPasswords(cmd, done)
}

func printPasswords(cmd *cobra.Command, done matrixauth.SynapsePasswordsWritten) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), done)
	}
	w := cmd.OutOrStdout()
	errs := []error{say(w, "%d passwords are written into Synapse's database", done.Written)}
	list := func(names []string, about string) {
		if len(names) > 0 {
			errs = append(errs, say(w, "%s:", about))
		}
		for _, name := range names {
			errs = append(errs, say(w, "  %s", name))
		}
	}
	list(done.OtherScheme, "these keep the password that Synapse has, as the hash of theirs is of a kind that it does not know (password_hash bcrypt in the Caddyfile prevents that)")
	list(done.Unknown, "these have no account at Synapse, or none that has a password")
	return errors.Join(errs...)
}

// synapseRuns returns how it is known that Synapse runs; empty if it seems not to.
func (s site) synapseRuns(ctx context.Context, paths []string) string {
	for _, p := range runningSynapses(processes) {
		if p.startedWith(paths) {
			return fmt.Sprintf("process %d", p.pid)
		}
	}
	if matrixauth.HomeserverAnswers(ctx, s.config.Endpoint) {
		return "it answers at " + s.config.Endpoint
	}
	return ""
}
