package matrixauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// What commands need of the operations: see package operate.
type (
	// User is an account as operators see it.
	User = operate.User
	// NewUser is an account to add.
	NewUser = operate.NewUser
	// UserQuery says which accounts are asked for, and UserPage is a page of them.
	UserQuery = operate.UserQuery
	// UserPage is a page of accounts.
	UserPage = operate.UserPage
	// NameAndDisplayName is a user and the name that others are to see.
	NameAndDisplayName = operate.NameAndDisplayName
	// Name names a user: a localpart or a full Matrix id.
	Name = operate.Name
	// NameAndPassword is a user and the new password.
	NameAndPassword = operate.NameAndPassword
	// NameAndEmail is a user and an address to add.
	NameAndEmail = operate.NameAndEmail
	// Deactivation is a user to deactivate.
	Deactivation = operate.Deactivation
	// AdminRight is a user and whether they may administer Synapse.
	AdminRight = operate.AdminRight
	// ResetAllowed is a user whose clients may replace the cross-signing keys, and until when.
	ResetAllowed = operate.ResetAllowed
	// NewRecoveryLink asks for a link for recovery, and RecoveryLink is one.
	NewRecoveryLink = operate.NewRecoveryLink
	// RecoveryLink is a link for recovery, which is a secret.
	RecoveryLink = operate.RecoveryLink
	// Session is a session as operators see it.
	Session = operate.Session
	// SessionQuery says which sessions are asked for.
	SessionQuery = operate.SessionQuery
	// SessionPage is a page of sessions.
	SessionPage = operate.SessionPage
	// RegisteredClient is an OAuth client as operators see it.
	RegisteredClient = operate.Client
	// ClientQuery asks for a page of clients.
	ClientQuery = operate.ClientQuery
	// ClientPage is a page of clients.
	ClientPage = operate.ClientPage
	// ClientRef names a client by its id.
	ClientRef = operate.ClientRef
	// ClientToRemove is a client to remove.
	ClientToRemove = operate.ClientToRemove
	// ClientRemoved tells what went with a client.
	ClientRemoved = operate.ClientRemoved
	// Job is work that waits or was refused for good.
	Job = operate.Job
	// JobQuery says which jobs are asked for.
	JobQuery = operate.JobQuery
	// JobPage is a page of jobs.
	JobPage = operate.JobPage
	// JobRef names a job by its position.
	JobRef = operate.JobRef
	// LostSession is a session that the database may have forgotten.
	LostSession = operate.LostSession
	// LostQuery says which of them are asked for.
	LostQuery = operate.LostQuery
	// LostPage is a page of them.
	LostPage = operate.LostPage
	// LostSessionsToEnd says which of them end.
	LostSessionsToEnd = operate.LostSessionsToEnd
	// EndedLost tells which of them ended.
	EndedLost = operate.EndedLost
	// SessionsToEnd names the sessions to end.
	SessionsToEnd = operate.SessionsToEnd
	// Ended is how many sessions were ended.
	Ended = operate.Ended
	// NewToken asks for a compatibility token, for a bot.
	NewToken = operate.NewToken
	// IssuedToken is a token with its device.
	IssuedToken = operate.IssuedToken
	// Consent is a consent that is remembered.
	Consent = operate.Consent
	// Withdrawal names the consents of a user to take back.
	Withdrawal = operate.Withdrawal
	// Withdrawn tells what a Withdrawal took back.
	Withdrawn = operate.Withdrawn
	// EventQuery says which events are asked for.
	EventQuery = operate.EventQuery
	// EventPage is a page of events, the newest first.
	EventPage = operate.EventPage
	// Event is a change as operators see it.
	Event = operate.Event
	// KeyRenewal says how to renew the key that tokens are proven by, and RenewedKey is the new one.
	KeyRenewal = operate.KeyRenewal
	// RenewedKey is a new key.
	RenewedKey = operate.RenewedKey
	// MailTest is to whom a mail is sent to see whether mails arrive.
	MailTest = operate.MailTest
	// MailTried is what came of a MailTest.
	MailTried = operate.MailTried
	// RestrictedAgain counts what was done again to a backup that is put back.
	RestrictedAgain = operate.RestrictedAgain
	// ByHand is something that an operator has to do again after a restore.
	ByHand = operate.ByHand
	// Comparison asks for a part of the accounts to be compared with Synapse's.
	Comparison = operate.Comparison
	// Compared is what came of a comparison.
	Compared = operate.Compared
	// Difference is one thing in which Synapse and we differ.
	Difference = operate.Difference
	// Mended is what became of a difference.
	Mended = operate.Mended
)

// BrowserKind is the kind of a Session that is a browser that is signed in at our pages.
const BrowserKind = operate.BrowserKind

// The kinds of Difference.
const (
	SessionWithoutDevice = operate.SessionWithoutDevice
	DeviceWithoutSession = operate.DeviceWithoutSession
	DeactivatedThere     = operate.DeactivatedThere
	DeactivatedHere      = operate.DeactivatedHere
	LockedThere          = operate.LockedThere
	UnknownThere         = operate.UnknownThere
)

// The operations on accounts and what they have.
const (
	CheckNewUser      = operate.CheckNewUser
	AddUser           = operate.AddUser
	ListUsers         = operate.ListUsers
	ShowUser          = operate.ShowUser
	SetPassword       = operate.SetPassword
	AddEmail          = operate.AddEmail
	RemoveEmail       = operate.RemoveEmail
	SetDisplayName    = operate.SetDisplayName
	ListClients       = operate.ListClients
	ShowClient        = operate.ShowClient
	RemoveClient      = operate.RemoveClient
	ListJobs          = operate.ListJobs
	RetryJob          = operate.RetryJob
	DropJob           = operate.DropJob
	LockUser          = operate.LockUser
	UnlockUser        = operate.UnlockUser
	DeactivateUser    = operate.DeactivateUser
	TryDeactivateUser = operate.TryDeactivateUser
	ReactivateUser    = operate.ReactivateUser
	SetAdmin          = operate.SetAdmin
	AllowReset        = operate.AllowReset
	// IssueRecoveryLink makes a link by which a user sets a new password.
	IssueRecoveryLink = operate.IssueRecoveryLink
	ListSessions      = operate.ListSessions
	EndSessions       = operate.EndSessions
	ListLostSessions  = operate.ListLostSessions
	EndLostSessions   = operate.EndLostSessions
	IssueToken        = operate.IssueToken
	ListConsents      = operate.ListConsents
	WithdrawConsents  = operate.WithdrawConsents
	ListEvents        = operate.ListEvents
	RenewKey          = operate.RenewKey
	TestMail          = operate.TestMail
	CompareAccounts   = operate.CompareAccounts
	MendDifference    = operate.MendDifference
)

// Operation is the name of an operation, with the types of its parameters and its result.
type Operation[P, R any] = operate.Operation[P, R]

// The operations on the process rather than on accounts.
const (
	// Examine looks at a running server from its own point of view.
	Examine Operation[Examination, Diagnosis] = "doctor"
	// NoteBackup has a server remember, for the metrics, that a copy that it gave out is kept whole: on the disk, or
	// taken by whom the command wrote it to. Only the command knows that. Where the time cannot be kept it is known
	// until the end of the server.
	NoteBackup Operation[struct{}, struct{}] = "backup.note"
	// TellInstance has a server say what it serves and where it stands. Who told it may be believed as who
	// answers at the socket is; its paths are for showing, and never to be opened by root.
	TellInstance Operation[struct{}, Instance] = "instance"
	// TellSecret has a server say its secret, for the block of homeserver.yaml and for comparing it.
	TellSecret Operation[struct{}, SharedSecret] = "secret.tell"
	// TakeSecret has a server put another secret in the place of its generated one, for a migration. It counts
	// from the next start or reload on. The server writes the file itself: a command of root's would write where
	// it was told to.
	TakeSecret Operation[SharedSecret, struct{}] = "secret.take"
)

// wireOperations makes the table of everything that commands can have done.
func (s *Server) wireOperations() {
	s.operations = operate.New(operate.Config{
		Store: s.core.store, Users: s.users, Sessions: s.sessions, Browsers: s.browsers, Clients: s.clients, Grants: s.grants,
		Reconciler: s.reconciler, Outbox: s.core.outbox, Keys: s.keys, Letters: s.letters, Registrations: s.registrations, Recoveries: s.recoveries, Issuer: s.issuer.URL, ServerName: s.config.ServerName,
	})
	s.table = operate.NewTable(operate.TableConfig{Aside: s.core.aside, ServerName: s.config.ServerName, Logger: s.deps.Logger},
		append(s.operations.Rows(),
			operate.Bind(Examine, operate.Reads|operate.AsksSynapse, s.examine),
			operate.Bind(NoteBackup, operate.Reads, s.noteBackup),
			operate.Bind(TellInstance, operate.Reads, s.tellInstance),
			operate.Bind(TellSecret, 0, s.tellSecret),
			operate.Bind(TakeSecret, 0, s.takeSecret),
		)...)
}

// backupOperation names a backup in the log. It is not an Operation, as its result is not JSON.
const backupOperation = "backup"

// performer is what the socket has a Server do.
type performer struct{ *Server }

// Perform implements control.Operations.
func (p performer) Perform(ctx context.Context, by model.Actor, name string, params []byte) ([]byte, error) {
	return p.table.Perform(ctx, by, name, params)
}

// Copy implements control.Operations.
func (p performer) Copy(ctx context.Context, by model.Actor, begin func(size int64) io.Writer) error {
	made, err := p.core.store.Copy(ctx)
	if err != nil {
		p.table.Tell(ctx, by, backupOperation, err)
		return model.Errorf(model.ServerError, "the server could not copy the database; its log says why").WithCause(err)
	}
	info, err := made.Stat()
	if err == nil {
		_, err = io.Copy(begin(info.Size()), made)
	}
	err = errors.Join(err, made.Close())
	p.table.Tell(ctx, by, backupOperation, err)
	return err
}

// keepLine keeps a line about an operation until a server starts.
func (s *Server) keepLine(ctx context.Context, line []slog.Attr) {
	fields := make([][2]string, 0, len(line))
	for _, a := range line {
		fields = append(fields, [2]string{a.Key, a.Value.String()})
	}
	text, err := json.Marshal(fields)
	if err == nil {
		err = s.core.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.KeepActionLine(string(text)) })
	}
	if err != nil {
		s.deps.Logger.Error("an operator's action could not be kept for the server's log", "error", err)
		return
	}
	s.kept.Add(1)
}

// tellKept writes the lines of what was done while no server ran.
func (s *Server) tellKept(ctx context.Context) {
	const atOnce = 100
	for ctx.Err() == nil {
		var kept []store.ActionLine
		err := s.core.store.Update(ctx, func(tx *store.Tx) (err error) {
			kept, err = tx.TakeActionLines(atOnce)
			return err
		})
		if err != nil && ctx.Err() == nil {
			s.deps.Logger.Error("operators' actions from before the start could not be read", "error", err)
			return
		}
		for _, d := range kept {
			s.deps.Logger.LogAttrs(ctx, slog.LevelInfo, "an operator's action while no server ran", keptLine(d)...)
		}
		if len(kept) < atOnce {
			return
		}
	}
}

func keptLine(d store.ActionLine) []slog.Attr {
	line := []slog.Attr{slog.Time("at", d.At)}
	var fields [][2]string
	if err := json.Unmarshal([]byte(d.Line), &fields); err != nil {
		return append(line, slog.String("cause", fmt.Sprintf("the line of action %d cannot be read: %v", d.Position, err)))
	}
	for _, f := range fields {
		line = append(line, slog.String(f[0], f[1]))
	}
	return line
}
