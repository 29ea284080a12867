// Package operate has every operation on accounts, sessions, clients and their like that somebody asks for who is
// not the holder: what a command does, and how it is told. An operation is a method of Operations with who asks and
// its parameters. It finds what it is about, has the domain change rows in one transaction, and describes what
// became of it. It must not know how it was asked (see control), and decides nothing that the domain decides.
package operate

import (
	"context"
	"errors"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/reconcile"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/recovery"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Config is what operations depend upon.
type Config struct {
	Store      *store.Store
	Users      *user.Users
	Sessions   *session.Sessions
	Browsers   *browser.Browsers
	Clients    *client.Clients
	Grants     *grant.Grants
	Reconciler *reconcile.Reconciler
	Outbox     *outbox.Outbox
	Recoveries *recovery.Recoveries
	Keys       *tokenkey.Ring
	// Registrations has people register. Issuer is the public address, with a slash at its end.
	Registrations *registration.Registrations
	Issuer        string
	// Letters sends mails.
	Letters *notify.Letters
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
}

// Operations are the operations by a configuration.
type Operations struct{ c Config }

// New makes the operations of a configuration.
func New(c Config) *Operations { return &Operations{c} }

// Rows returns all operations of the package, for a Table.
func (o *Operations) Rows() []Row {
	return []Row{
		Bind(CheckNewUser, Reads|AsksSynapse, o.checkNewUser),
		Bind(AddUser, AsksSynapse, o.addUser),
		Bind(ListUsers, Reads, o.listUsers),
		Bind(ShowUser, Reads, o.showUser),
		Bind(SetPassword, 0, o.setPassword),
		Bind(RemoveEmail, 0, o.removeEmail),
		Bind(SetDisplayName, 0, o.setDisplayName),
		Bind(AddEmail, 0, o.addEmail),
		Bind(LockUser, 0, o.lockUser),
		Bind(UnlockUser, 0, o.unlockUser),
		Bind(DeactivateUser, 0, o.deactivateUser),
		Bind(TryDeactivateUser, 0, o.tryDeactivateUser),
		Bind(ReactivateUser, 0, o.reactivateUser),
		Bind(SetAdmin, 0, o.setAdmin),
		Bind(AllowReset, AsksSynapse, o.allowReset),
		Bind(IssueRecoveryLink, OwnPages, o.issueRecoveryLink),

		Bind(ListSessions, Reads, o.listSessions),
		Bind(EndSessions, 0, o.endSessions),
		Bind(ListLostSessions, Reads, o.listLost),
		Bind(EndLostSessions, 0, o.endLost),
		Bind(IssueToken, AsksSynapse, o.issueToken),

		Bind(ListClients, Reads, o.listClients),
		Bind(ShowClient, Reads, o.showClient),
		Bind(RemoveClient, 0, o.removeClient),

		Bind(ListJobs, Reads, o.listJobs),
		Bind(RetryJob, 0, o.retryJob),
		Bind(DropJob, 0, o.dropJob),

		Bind(ListConsents, Reads, o.listConsents),
		Bind(WithdrawConsents, 0, o.withdrawConsents),

		Bind(ListEvents, Reads, o.listEvents),

		Bind(RenewKey, OwnFiles, o.renewKey),

		Bind(CreateInvitation, 0, o.createInvitation),
		Bind(ListInvitations, Reads, o.listInvitations),
		Bind(ShowInvitation, 0, o.showInvitation),
		Bind(RevokeInvitation, 0, o.revokeInvitation),

		Bind(ListRegistrations, Reads, o.listRegistrations),
		Bind(ApproveRegistration, AsksSynapse, o.approveRegistration),
		Bind(RejectRegistration, 0, o.rejectRegistration),
		Bind(TestMail, 0, o.testMail),

		Bind(CompareAccounts, Reads|AsksSynapse, o.compareAccounts),
		Bind(MendDifference, AsksSynapse, o.mendDifference),

		Bind(ListTaken, Reads, o.listTaken),
		Bind(TakePepper, 0, o.takePepper),
		Bind(TakeAccounts, 0, o.takeAccounts),
		Bind(ListChangedPasswords, 0, o.listChangedPasswords),
		Bind(TakeRegistrationTokens, 0, o.takeRegistrationTokens),
	}
}

// view runs f in a read transaction and returns what it returns.
func view[R any](ctx context.Context, o *Operations, f func(tx *store.Tx) (R, error)) (result R, err error) {
	err = o.c.Store.View(ctx, func(tx *store.Tx) (err error) {
		result, err = f(tx)
		return err
	})
	return result, err
}

// update runs f in a write transaction and returns what it returns.
func update[R any](ctx context.Context, o *Operations, f func(tx *store.Tx) (R, error)) (result R, err error) {
	err = o.c.Store.Update(ctx, func(tx *store.Tx) (err error) {
		result, err = f(tx)
		return err
	})
	return result, err
}

// errDryRun undoes what was done to see what it would do.
var errDryRun = errors.New("nothing is changed")

// updateUnless is update, and undoes everything in a dry run, whose result is as if it were done.
func updateUnless[R any](ctx context.Context, o *Operations, dryRun bool, f func(tx *store.Tx) (R, error)) (result R, err error) {
	err = o.c.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if result, err = f(tx); err == nil && dryRun {
			err = errDryRun
		}
		return err
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return result, err
}

// noteDryRun has the line of the log tell that nothing was changed.
func noteDryRun(ctx context.Context, dryRun bool) {
	if dryRun {
		note(ctx, model.User{}, slog.Bool("dry_run", true))
	}
}

// find finds an account by its name as typed, and notes that the operation is about it.
func (o *Operations) find(ctx context.Context, tx *store.Tx, name string) (model.User, error) {
	found, err := o.c.Users.ByName(tx, name)
	note(ctx, found)
	return found, err
}
