package caddymodule

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// configChange is a change of Synapse's configuration as it is shown, or why there is none.
type configChange struct {
	*matrixauth.Migration
	problem error
}

// delegationChange plans the change of homeserver.yaml by which Synapse leaves logins to us, and makes nothing for it: our
// secret may not be there yet. That it cannot be planned is no error of a look.
func (s site) delegationChange(cmd *cobra.Command) (c configChange) {
	o, err := s.reachServer(cmd.Context(), cmd)
	if err != nil && !errors.Is(err, matrixauth.ErrNoServer) {
		return configChange{problem: err}
	}
	d, err := s.delegation(cmd.Context(), o)
	if o != nil {
		if failed := o.Close(); err == nil {
			err = failed
		}
	}
	if err != nil && !errors.Is(err, errNotGenerated) {
		return configChange{problem: err}
	}
	c.Migration, c.problem = s.planDelegation(cmd, d)
	return c
}

// planDelegation plans that change for what Synapse must know of us.
func (s site) planDelegation(cmd *cobra.Command, d matrixauth.Delegation) (*matrixauth.Migration, error) {
	f, err := s.synapseChange(cmd)
	if err != nil {
		return nil, err
	}
	return matrixauth.PlanDelegation(f.paths, cmp.Or(f.endpoint, d.Endpoint), d.Secret, cmp.Or(f.secretPath, d.SecretPath))
}

// writeDelegation changes homeserver.yaml so that Synapse leaves logins to us. Our secret is made if it is not there yet.
func (s site) writeDelegation(cmd *cobra.Command) error {
	s, d, err := s.delegationToPrint(cmd)
	if err != nil {
		return err
	}
	planned, err := s.planDelegation(cmd, d)
	if err != nil {
		return err
	}
	files, err := s.synapseFiles(cmd)
	if err != nil {
		return err
	}
	if who := s.synapseRuns(cmd.Context(), files.paths); who != "" {
		planned.Notes = append(planned.Notes, "Synapse runs ("+who+"): what happens there from the last run of --write until it stops does not come along; stop it, and run that once more.")
	}
	if err := errors.Join(showChange(cmd, planned), writeChange(cmd, planned)); err != nil {
		return err
	}
	path, err := cmd.Flags().GetString("secret-path")
	if err != nil {
		return err
	}
	if path = cmp.Or(path, d.SecretPath); path != "" {
		err = say(cmd.ErrOrStderr(), "Synapse's user must be able to read %s", path)
	}
	return errors.Join(err, sayText(cmd.ErrOrStderr(), leftSteps(
		"start Caddy with this Caddyfile, then Synapse",
		"see whether all is well: caddy matrix-auth doctor",
	)))
}

// back shows how homeserver.yaml comes to be as it was before the move, says what returns by it, and writes it if asked to.
func (s site) back(cmd *cobra.Command, write bool) error {
	files, err := s.synapseFiles(cmd)
	if err != nil {
		return err
	}
	if len(files.paths) == 0 {
		return errNoSynapseFiles
	}
	planned, err := matrixauth.PlanBack(files.paths)
	if err != nil {
		return err
	}
	if err := errors.Join(showChange(cmd, planned), sayText(cmd.ErrOrStderr(), whatReturns)); err != nil {
		return err
	}
	if !write {
		return say(cmd.ErrOrStderr(), "nothing was written; run it again with --write-config")
	}
	return errors.Join(writeChange(cmd, planned), sayText(cmd.ErrOrStderr(), leftSteps(
		"take matrix_auth out of the Caddyfile, and restart Caddy",
		"start Synapse",
	)))
}

// whatReturns says what a way back brings.
const whatReturns = `what returns: the sessions that Synapse still has from before the move, of apps that have not refreshed their tokens since,
  and the passwords of that day
what does not: sessions that began since or were refreshed since, whose apps are signed out and sign in again; passwords that
  were set since (--write-passwords takes those along that are bcrypt); addresses, locks and deactivations of since;
  accounts that are new since have no password there
`

// leftSteps lists what is left to be done.
func leftSteps(steps ...string) string {
	text := "what is left, in this order:\n"
	for i, step := range steps {
		text += fmt.Sprintf("  %d. %s\n", i+1, step)
	}
	return text
}

// showChange prints a change of Synapse's configuration, which holds no secret, and its notes.
func showChange(cmd *cobra.Command, planned *matrixauth.Migration) error {
	err := sayText(cmd.OutOrStdout(), planned.Diff)
	for _, note := range planned.Notes {
		err = errors.Join(err, say(cmd.ErrOrStderr(), "note: %s", note))
	}
	return err
}

// writeChange writes a change of Synapse's configuration after a backup copy.
func writeChange(cmd *cobra.Command, planned *matrixauth.Migration) error {
	written, backup, err := planned.Write()
	if err != nil {
		return err
	}
	return say(cmd.OutOrStdout(), "%s is written; the file as it was is %s", written, backup)
}
