package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// The exit codes of a move beside 0 and 1. They are documented in docs/migrate-synapse.md.
const (
	moveStopped    = 2 // something has to be mended first
	moveUnaccepted = 3 // a warning has to be accepted by its code
)

// synapseMove is what a move from Synapse is asked to do.
type synapseMove struct {
	write, writeConfig   bool
	back, writePasswords bool
	accept               []string
	dir                  string
}

func migrateSynapseCommand() *cobra.Command {
	var asked synapseMove
	cmd := &cobra.Command{
		Use:   "synapse",
		Short: "Takes accounts, passwords and sessions over from Synapse, or says what is in the way",
		Long: `Takes accounts, passwords and sessions over from Synapse, or says what is in the
way.

Without --write it only looks, while Synapse runs, and changes nothing. With
--write it takes over what is new, what has changed at Synapse and what is gone
there since it was run last; it may be run as often as you like, and may be
interrupted.

Exit codes: 0 done, or nothing is in the way; 1 it failed; 2 something has to be
mended first; 3 a warning has to be accepted by --accept; 130 interrupted.`,
		Args: cobra.NoArgs,
	}
	synapseFlags(cmd)
	cmd.Flags().StringVar(&asked.dir, "synapse-dir", "", "The directory that Synapse is started in, if its database has a relative path (default: that of its service)")
	cmd.Flags().BoolVar(&asked.write, "write", false, "Take everything over; without it nothing is changed")
	cmd.Flags().BoolVar(&asked.writeConfig, "write-config", false, "Change homeserver.yaml so that Synapse leaves logins to us (with --back: as it was), after a backup copy")
	cmd.Flags().String("secret-path", "", "The path at which Synapse finds the file of the secret, if it is another there than here")
	cmd.Flags().BoolVar(&asked.back, "back", false, "Go back: show what becomes of homeserver.yaml, and say what returns and what does not")
	cmd.Flags().BoolVar(&asked.writePasswords, "write-passwords", false, "With --back: write the passwords that changed here into Synapse's database, while Synapse is stopped")
	cmd.MarkFlagsMutuallyExclusive("write", "write-config", "write-passwords")
	cmd.MarkFlagsMutuallyExclusive("write", "back")
	cmd.Flags().StringArrayVar(&asked.accept, "accept", nil, "The code of a warning that you have read and accept; may be repeated")
	jsonFlag(cmd)
	cmd.RunE = siteRun(func(cmd *cobra.Command, _ []string, s site) error {
		if err := checkAccepted(asked.accept); err != nil {
			return err
		}
		switch {
		case asked.writePasswords && !asked.back:
			return errors.New("--write-passwords belongs to --back")
		case asked.writePasswords:
			return s.writePasswords(cmd, asked)
		case asked.back:
			return s.back(cmd, asked.writeConfig)
		case asked.writeConfig:
			return s.writeDelegation(cmd)
		}
		return s.moveFromSynapse(cmd, asked)
	})
	if err := cmd.RegisterFlagCompletionFunc("accept", completeWarnings); err != nil {
		panic(err) // a flag is given to it twice
	}
	return cmd
}

// warnings returns what may be accepted.
func warnings() (all []matrixauth.MoveKind) {
	for _, kind := range matrixauth.MoveKinds() {
		if kind.Weight == matrixauth.MoveWarns {
			all = append(all, kind)
		}
	}
	slices.SortFunc(all, func(a, b matrixauth.MoveKind) int { return strings.Compare(string(a.Code), string(b.Code)) })
	return all
}

// checkAccepted refuses codes that no warning has: whoever mistypes one would wonder why it still stops.
func checkAccepted(codes []string) error {
	var known []string
	for _, kind := range warnings() {
		known = append(known, string(kind.Code))
	}
	for _, code := range codes {
		if !slices.Contains(known, code) {
			return fmt.Errorf("--accept: there is no warning %q; those that can be accepted are %s", code, strings.Join(known, ", "))
		}
	}
	return nil
}

func completeWarnings(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for _, kind := range warnings() {
		all = append(all, proposal(string(kind.Code), strings.ReplaceAll(kind.What, "%s", "…")))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// moveFromSynapse looks, and takes over what there is if that was asked for. What needs root's rights comes first: the
// command goes on as the owner of our database once it has opened that.
func (s site) moveFromSynapse(cmd *cobra.Command, asked synapseMove) (err error) {
	ctx, stop := untilInterrupted(cmd.Context())
	defer stop()
	source, err := s.openSynapse(ctx, cmd, asked)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	change := s.delegationChange(cmd)
	o, err := s.reachIfThere(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() {
		if o != nil {
			err = errors.Join(err, closeOperator(cmd, o))
		}
	}()
	// Against what is here, before a run too: that accounts are gone at Synapse is a warning, as a run deactivates them.
	looked := newProgress(cmd.ErrOrStderr(), "looked at")
	report, err := source.Check(ctx, o, looked.tell)
	if err = looked.end(err); err != nil {
		return moveEnded(ctx, cmd, err, "nothing was changed")
	}
	if refused := report.Refused(asked.accept); !asked.write || len(refused) > 0 {
		if err := printMove(cmd, moveResult{MoveReport: report}, refused, change); err != nil {
			return err
		}
		return moveVerdict(cmd, refused)
	}
	if o == nil {
		if o, err = s.makeAndReach(ctx, cmd); err != nil {
			return err
		}
	}
	return takeOver(ctx, cmd, source, o, change)
}

// takeOver writes, and says what was done, also if it did not come to its end.
func takeOver(ctx context.Context, cmd *cobra.Command, source *matrixauth.SynapseMove, o *matrixauth.Operator, change configChange) error {
	taken := newProgress(cmd.ErrOrStderr(), "taken over")
	report, err := source.Write(ctx, o, taken.tell)
	err = taken.end(err)
	printed := printMove(cmd, moveResult{MoveReport: report, Written: true}, nil, change)
	if err != nil {
		return errors.Join(printed, moveEnded(ctx, cmd, err, "what was taken over so far stays, and the same command goes on from there"))
	}
	return errors.Join(printed, sayText(cmd.ErrOrStderr(), leftSteps(
		"stop Synapse, and run the same command once more: it takes what has happened since",
		"have Synapse leave logins to us: caddy matrix-auth migrate synapse --write-config",
		"start Caddy with this Caddyfile, then Synapse",
		"see whether all is well: caddy matrix-auth doctor",
	)))
}

// untilInterrupted returns a context that the first interrupt ends. The second one ends the program, as any does.
func untilInterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// moveEnded says what became of a run that did not come to its end.
func moveEnded(ctx context.Context, cmd *cobra.Command, err error, left string) error {
	if ctx.Err() == nil {
		return fmt.Errorf("%w; %s", err, left)
	}
	if err := say(cmd.ErrOrStderr(), "interrupted; %s", left); err != nil {
		return err
	}
	return exitWith(cmd, interrupted)
}

// openSynapse reads Synapse's configuration and opens its database.
func (s site) openSynapse(ctx context.Context, cmd *cobra.Command, asked synapseMove) (*matrixauth.SynapseMove, error) {
	files, err := s.filesOfMove(cmd, asked)
	if err != nil {
		return nil, err
	}
	m, err := matrixauth.OpenSynapse(ctx, files, s.config.ServerName)
	if err != nil {
		return nil, err
	}
	if err := s.sameServerName(m); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// filesOfMove returns where Synapse's configuration is.
func (s site) filesOfMove(cmd *cobra.Command, asked synapseMove) (matrixauth.SynapseFiles, error) {
	if s.config.ServerName == "" {
		return matrixauth.SynapseFiles{}, s.problem // it is a variable that is not set here
	}
	files, err := s.synapseFiles(cmd)
	if err == nil && len(files.paths) == 0 {
		err = errNoSynapseFiles
	}
	return matrixauth.SynapseFiles{Paths: files.paths, Dir: cmp.Or(asked.dir, synapseDir())}, err
}

// synapseDir returns the directory that Synapse's service is started in; empty if no service says so.
func synapseDir() string {
	for _, name := range synapseUnits {
		if u, found, err := readUnit(unitDirs, name); err == nil && found {
			return u.workingDirectory
		}
	}
	return ""
}

// sameServerName refuses to take over accounts of another server: their names would be other people's. Without a name
// at Synapse the move itself says what is wrong.
func (s site) sameServerName(m *matrixauth.SynapseMove) error {
	theirs := m.ServerName()
	if s.config.ServerName == theirs || theirs == "" {
		return nil
	}
	return fmt.Errorf("the server names differ: %s says %s, and %s says %s; correct the Caddyfile, or name the right files by --config and --synapse-config",
		s.serverNameWhere(), s.config.ServerName, m.ServerNameWhere(), theirs)
}

// serverNameWhere returns the file that says our server name, with the line if one of its lines does.
func (s site) serverNameWhere() string {
	text, err := os.ReadFile(s.file)
	if err != nil {
		return s.file // standard input
	}
	for i, line := range strings.Split(string(text), "\n") {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "matrix_auth" && slices.Contains(words[1:], s.config.ServerName) {
			return fmt.Sprintf("%s:%d", s.file, i+1)
		}
	}
	return s.file
}

// reachIfThere reaches the server of a site or its database. It is nil where there is neither.
func (s site) reachIfThere(ctx context.Context, cmd *cobra.Command) (*matrixauth.Operator, error) {
	o, err := s.reachServer(ctx, cmd)
	if err == nil {
		return o, say(cmd.ErrOrStderr(), "database %s (by the running server)", o.Database())
	}
	if !errors.Is(err, matrixauth.ErrNoServer) {
		return nil, err
	}
	if s.problem != nil {
		return nil, s.problem
	}
	path, there, err := s.stored()
	if err != nil {
		return nil, err
	}
	if there || s.databaseNamed {
		return s.reach(ctx, cmd)
	}
	if other := s.orElse(path); other != "" {
		return nil, fmt.Errorf("there is no database at %s%s", path, other)
	}
	return nil, s.checkClosed(ctx)
}

// makeAndReach makes the database of a site before its server has run, for the user that the server will run as.
func (s site) makeAndReach(ctx context.Context, cmd *cobra.Command) (*matrixauth.Operator, error) {
	path, _, err := s.stored()
	if err != nil {
		return nil, err
	}
	if len(s.rememberingFiles(path)) > 0 {
		return nil, fmt.Errorf("database %s was here and is not: is its disk mounted? If it is lost for good, \"caddy matrix-auth forget\" has a new one made", path)
	}
	if uid := os.Geteuid(); s.service.known && uid != 0 && uid != s.service.uid && !s.ownsFile() {
		return nil, fmt.Errorf("there is no database yet, and Caddy runs as %[1]s, whose directories this user may not write; run the command as root or as %[1]s", s.service.name)
	}
	if err := s.makeDatabaseDir(path); err != nil {
		return nil, err
	}
	config := s.config
	if config.Secret == "" {
		if config.Secret, err = matrixauth.EnsureSecret(matrixauth.SecretFile(path)); err != nil {
			return nil, err
		}
	}
	target := s.target(path, false)
	target.Create = true
	o, err := matrixauth.Reach(ctx, target, config, matrixauth.Deps{
		Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	acting := ""
	if o.ActingAs() != "" {
		acting = ", acting as " + o.ActingAs()
	}
	return o, say(cmd.ErrOrStderr(), "database %s (made now%s)", o.Database(), acting)
}
