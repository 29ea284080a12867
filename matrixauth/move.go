package matrixauth

import (
	"context"
	"fmt"
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapseconfig"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapsedb"
)

// What commands need of a move: see package move.
type (
	// MoveFinding is something that a look at the other server found.
	MoveFinding = move.Finding
	// MoveKind is a kind of finding.
	MoveKind = move.Kind
	// MoveCode names one.
	MoveCode = move.Code
	// MoveCounts are rows of the other server.
	MoveCounts = move.Counts
	// MoveTaken counts what was done.
	MoveTaken = move.Taken
)

// The weights of findings.
const (
	MoveStops = move.Stops
	MoveWarns = move.Warns
	MoveLeft  = move.Left
	MoveSays  = move.Says
)

// MoveKinds lists all kinds of finding that have fixed texts, for the documentation and for what may be accepted.
func MoveKinds() []MoveKind {
	return slices.Concat(move.Kinds(), synapsedb.Kinds(), synapseKinds())
}

// synapseKinds are the kinds of what is found in homeserver.yaml.
func synapseKinds() (kinds []MoveKind) {
	for _, f := range synapseconfig.MoveKinds() {
		kinds = append(kinds, kindOf(f))
	}
	return kinds
}

func kindOf(f synapseconfig.MoveFinding) MoveKind {
	return MoveKind{Code: move.Code(f.Code), Weight: move.Weight(f.Weight), What: f.What, Change: f.Change}
}

// SynapseFiles is where Synapse's configuration is.
type SynapseFiles struct {
	// Paths are those that Synapse is started with, in that order.
	Paths []string
	// Dir is the directory in which Synapse runs, from which it opens relative paths; empty for this process's.
	Dir string
}

// SynapseMove takes the accounts of a Synapse over.
type SynapseMove struct {
	settings *synapseconfig.MoveSettings
	// source is nil if homeserver.yaml does not say where the database is, which is a finding.
	source   move.Source
	database string
	found    []synapseconfig.MoveFinding
}

// OpenSynapse reads Synapse's configuration, and opens its database for reading as it is at this moment. serverName is ours.
// A process of root may become another user once it returns.
func OpenSynapse(ctx context.Context, files SynapseFiles, serverName string) (*SynapseMove, error) {
	config, err := synapseconfig.Read(files.Paths...)
	if err != nil {
		return nil, err
	}
	m := &SynapseMove{settings: config.Move(synapseconfig.MoveOptions{Dir: files.Dir})}
	m.found = m.settings.Findings(serverName)
	m.database = m.settings.Database.String()
	if m.settings.Database.Engine == "" {
		return m, nil
	}
	m.source, err = synapsedb.Open(ctx, databaseOptions(m.settings))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.database, err)
	}
	return m, nil
}

// ServerName returns Synapse's server_name.
func (m *SynapseMove) ServerName() string { return m.settings.ServerName }

// Close closes Synapse's database. Its error says, among others, that Synapse wrote while it was read.
func (m *SynapseMove) Close() error {
	if m.source == nil {
		return nil
	}
	return m.source.Close()
}

// MoveProgress says how far a run is.
type MoveProgress struct {
	// Done and Total count accounts.
	Done, Total int64
}

// MoveReport is what a look or a run came to.
type MoveReport struct {
	ServerName string `json:"server_name"`
	// Database says where Synapse's database is.
	Database string     `json:"database"`
	Counts   MoveCounts `json:"counts"`
	// Taken is what was done, or what would be.
	Taken    MoveTaken     `json:"taken"`
	Findings []MoveFinding `json:"findings"`
	// Caddyfile are lines of our directive that go on with Synapse's settings.
	Caddyfile []string `json:"caddyfile"`
	// Delegated reports whether Synapse delegates its logins already.
	Delegated bool `json:"delegated"`
}

// Refused returns the findings that keep a run from writing: errors, and warnings whose codes are not accepted.
func (r MoveReport) Refused(accept []string) (all []MoveFinding) {
	for _, f := range r.Findings {
		if f.Weight == MoveStops || f.Weight == MoveWarns && !slices.Contains(accept, string(f.Code)) {
			all = append(all, f)
		}
	}
	return all
}

// Check looks at everything and changes nothing. Without an operator, as there is no database of ours yet, it looks at
// Synapse alone.
func (m *SynapseMove) Check(ctx context.Context, o *Operator, tell func(MoveProgress)) (MoveReport, error) {
	if o == nil {
		return m.run(ctx, nowhere{}, true, tell)
	}
	return m.run(ctx, operate.MoveTarget{Caller: o}, true, tell)
}

// Write takes everything over. If ctx ends, or something fails, what was taken by then stays, the report tells of it, and
// another run goes on from there.
func (m *SynapseMove) Write(ctx context.Context, o *Operator, tell func(MoveProgress)) (MoveReport, error) {
	to := operate.MoveTarget{Caller: o}
	if err := to.TakePepper(ctx, m.settings.Pepper()); err != nil {
		return MoveReport{ServerName: m.settings.ServerName, Database: m.database}, err
	}
	return m.run(ctx, to, false, tell)
}

func (m *SynapseMove) run(ctx context.Context, to move.Target, dryRun bool, tell func(MoveProgress)) (r MoveReport, err error) {
	r = MoveReport{ServerName: m.settings.ServerName, Database: m.database, Caddyfile: m.settings.CaddyfileLines(), Delegated: m.settings.Delegated}
	var findings move.Findings
	for _, f := range m.found {
		place := ""
		if f.Path != "" {
			place = fmt.Sprintf("%s:%d", f.Path, f.Line)
		}
		findings.Note(kindOf(f), place)
	}
	if m.source != nil {
		r.Counts, r.Taken, err = m.take(ctx, to, dryRun, tell, &findings)
	}
	r.Findings = findings.All()
	return r, err
}

func (m *SynapseMove) take(ctx context.Context, to move.Target, dryRun bool, tell func(MoveProgress), findings *move.Findings) (counts MoveCounts, taken MoveTaken, err error) {
	if counts, err = m.source.Counts(ctx); err != nil {
		return counts, taken, err
	}
	options := move.Options{DryRun: dryRun, Position: counts.Position, Tell: func(done int64) {
		if tell != nil {
			tell(MoveProgress{done, max(counts.Users, done)})
		}
	}}
	taken, err = move.Run(ctx, move.WithPepper(m.source, password.Mark(m.settings.Pepper())), to, options, findings)
	return counts, taken, err
}

// nowhere is where a look goes as long as we have no database.
type nowhere struct{}

// Journal implements move.Target.
func (nowhere) Journal(context.Context, move.JournalQuery) (move.JournalPage, error) {
	return move.JournalPage{}, nil
}

// Take implements move.Target.
func (nowhere) Take(_ context.Context, b move.Batch) (done move.Done, err error) {
	for _, a := range b.Accounts {
		done.Taken.Add(a.AllNew())
	}
	return done, nil
}

// TakeTokens implements move.Target.
func (nowhere) TakeTokens(_ context.Context, t move.Tokens) (move.Done, error) {
	return move.Done{Taken: MoveTaken{RegistrationTokens: int64(len(t.Tokens))}}, nil
}

// databaseOptions says how Synapse's database is opened.
func databaseOptions(s *synapseconfig.MoveSettings) synapsedb.Options {
	o := synapsedb.Options{ServerName: s.ServerName}
	if d := s.Database; d.Engine == "sqlite3" {
		o.SQLite = d.Path
	} else {
		o.Postgres = map[string]string{"dsn": d.DSN, "user": d.User, "password": d.Password(), "dbname": d.Name, "host": d.Host, "hostaddr": d.HostAddr, "port": d.Port, "sslmode": d.SSLMode,
			"sslrootcert": d.SSLRootCert, "sslcert": d.SSLCert, "sslkey": d.SSLKey, "passfile": d.PassFile, "connect_timeout": d.ConnectTimeout, "options": d.Options}
	}
	return o
}

// ServerNameWhere returns the file and the line of Synapse's server_name where it differs from ours; else that it is
// Synapse's configuration.
func (m *SynapseMove) ServerNameWhere() string {
	for _, f := range m.found {
		if f.Code == "server_name_differs" && f.Path != "" {
			return fmt.Sprintf("%s:%d", f.Path, f.Line)
		}
	}
	return "Synapse's configuration"
}
