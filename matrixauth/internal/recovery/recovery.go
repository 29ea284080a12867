// Package recovery brings people back to an account whose password was forgotten: somebody asks for a link, a mail takes it
// to an address that the account has proven, and who opens it sets a new password once. It must not render a page, must
// not tell anybody but the reader of that address whether an account exists, and sends a link to no address that was only
// typed.
//
// A request is written down as it was typed, whoever it is about, and looked up by the job that sends the mail: so a
// request costs and answers the same whether or not an account exists (ENUM-1, MAIL-1).
package recovery

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Config is what recovery depends upon.
type Config struct {
	Store    *store.Store
	Users    *user.Users
	Sessions *session.Sessions
	Limiter  *limit.Limiter
	Outbox   *outbox.Outbox
	Seal     *seal.Keeper
	Letters  *notify.Letters
	// On reports whether the owner lets people ask for links, as far as mail is configured.
	On bool
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	// Issuer is our public address, with a slash at the end of its path: links begin with it, whatever host a request
	// named (MAIL-4).
	Issuer string
}

// Recoveries asks for, issues and uses tickets for recovery.
type Recoveries struct{ config Config }

// New makes the recoveries of a configuration.
func New(c Config) *Recoveries { return &Recoveries{c} }

// TicketParam is the parameter of a link that holds the ticket.
const TicketParam = "ticket"

// link returns the address at which a ticket is used.
func (r *Recoveries) link(ticket string) string {
	return r.config.Issuer + page.RecoverPasswordPath + "?" + url.Values{TicketParam: {ticket}}.Encode()
}

// over is the answer to every ticket that is worth nothing, whatever the reason.
func over() error { return model.NewError(model.RecoveryOver) }

// Opened is a ticket that can be used.
type Opened struct {
	Recovery model.Recovery
	// User is whose account it is of.
	User model.User
	// Apps is how many apps are signed in to it.
	Apps int
}

// Open looks at a ticket that somebody brings, and changes nothing: programs that scan mail open links (MAIL-3). Errors:
// RecoveryOver, RateLimited.
func (r *Recoveries) Open(ctx context.Context, ticket, ip string) (opened Opened, err error) {
	if err := r.config.Limiter.TakeNetwork(limit.RecoveryTickets, ip, bound.TicketsPerNetwork); err != nil {
		return opened, err
	}
	err = r.config.Store.View(ctx, func(tx *store.Tx) error {
		if opened, err = find(tx, ticket); err != nil {
			return err
		}
		if opened.Recovery.Over(tx.Now) {
			return over()
		}
		live, err := tx.LiveSessions(opened.User.ID)
		opened.Apps = len(live)
		return err
	})
	return opened, err
}

// find finds the recovery of a ticket, over or not, and whose it is. An account that may do nothing has none (MAIL-6).
func find(tx *store.Tx, ticket string) (opened Opened, err error) {
	if !model.IsRecoveryTicket(ticket) {
		return opened, over()
	}
	opened.Recovery, err = tx.RecoveryByTicket(model.HashToken(ticket))
	if errors.Is(err, model.ErrNotFound) {
		return opened, over()
	}
	if err != nil {
		return opened, err
	}
	if opened.User, err = tx.User(opened.Recovery.UserID); err != nil {
		return opened, err
	}
	if opened.User.MayAct() != nil {
		return opened, over()
	}
	return opened, nil
}

// Use says what the bearer of a ticket does by it.
type Use struct {
	Ticket string
	// Password is the new password.
	Password string
	// EndApps asks for all apps of the account to be signed out.
	EndApps bool
	// Browser is the value of the browser's cookie: the same form sent twice from there is answered alike.
	Browser string
	Source  model.Source
}

// Use sets a new password by a ticket, which is worth nothing afterwards. All browsers are signed out, and nobody is signed
// in (MAIL-5). Errors: RecoveryOver, InvalidPassword, RateLimited, TemporarilyDown if too many passwords are being hashed.
func (r *Recoveries) Use(ctx context.Context, u Use) (who model.User, err error) {
	opened, err := r.Open(ctx, u.Ticket, u.Source.IP)
	if errors.Is(err, model.RecoveryOver) {
		return r.usedAlready(ctx, u)
	}
	if err != nil {
		return who, err
	}
	hash, err := r.config.Users.HashPasswordFor(ctx, opened.User, u.Password)
	if err != nil {
		return who, err
	}
	err = r.config.Store.Update(ctx, func(tx *store.Tx) error {
		if opened, err = find(tx, u.Ticket); err != nil {
			return err
		}
		if opened.Recovery.Over(tx.Now) {
			return over()
		}
		return r.use(tx, opened, u, hash)
	})
	if errors.Is(err, model.RecoveryOver) { // the same form came twice at once
		return r.usedAlready(ctx, u)
	}
	if err != nil {
		return who, err
	}
	if u.EndApps {
		r.config.Sessions.Settle(ctx, opened.User.ID)
	}
	return opened.User, nil
}

func (r *Recoveries) use(tx *store.Tx, opened Opened, u Use, hash string) error {
	by := model.Holder(opened.User.ID, u.Source)
	// First, as a new password ends what is left of the account's tickets.
	if used, err := tx.UseRecovery(opened.Recovery.ID, model.HashToken(u.Browser)); err != nil || !used {
		return cmp.Or(err, over())
	}
	if err := r.config.Users.SetPassword(tx, by, opened.User, hash, user.Ends{Apps: u.EndApps}); err != nil {
		return err
	}
	return tx.Record(by, model.ActionRecover, opened.User.ID, model.Details{"operator": opened.Recovery.EmailID == "", "apps": u.EndApps})
}

// usedAlready returns whose password was set by a ticket a moment ago by the same browser, as by a double click. It
// returns RecoveryOver for anybody else.
func (r *Recoveries) usedAlready(ctx context.Context, u Use) (who model.User, err error) {
	err = r.config.Store.View(ctx, func(tx *store.Tx) error {
		opened, err := find(tx, u.Ticket)
		if err != nil {
			return err
		}
		done := opened.Recovery
		if done.EndReason != model.RecoveryUsed || u.Browser == "" || done.UsedBy != model.HashToken(u.Browser) || tx.Now.Sub(done.EndedAt) >= bound.DoubleSubmit {
			return over()
		}
		who = opened.User
		return nil
	})
	return who, err
}

// Link is a link for recovery that an operator asked for.
type Link struct {
	User model.User
	// URL leads to the page that sets a password. It is a secret.
	URL       string
	ExpiresAt time.Time
}

// Issue makes a link for an account, for an operator who gives it to the holder by other ways than mail. Earlier links of
// the account are worth nothing afterwards; a later one by mail leaves it as it is. A life of zero is
// bound.RecoveryLinkLife. Errors: UserDeactivated, UserLocked, InvalidParam for a life that is too short or too long.
func (r *Recoveries) Issue(tx *store.Tx, by model.Actor, who model.User, life time.Duration) (Link, error) {
	life = cmp.Or(life, bound.RecoveryLinkLife)
	if life < time.Minute || life > bound.RecoveryLinkMost {
		return Link{}, model.Errorf(model.InvalidParam, "a link for recovery is good for a minute at least and seven days at most")
	}
	if err := user.CheckActive(who); err != nil {
		return Link{}, err
	}
	if who.Locked() {
		return Link{}, model.Errorf(model.UserLocked, "the account is locked; unlock it first")
	}
	if err := tx.EndRecoveries(who.ID, model.RecoveryReplaced); err != nil {
		return Link{}, err
	}
	ticket := model.NewRecoveryTicket()
	made := model.Recovery{ID: model.NewID(tx.Now), UserID: who.ID, Hash: model.HashToken(ticket), CreatedAt: tx.Now, AcceptedAt: tx.Now, ExpiresAt: tx.Now.Add(life)}
	if err := tx.InsertRecovery(made); err != nil {
		return Link{}, err
	}
	details := model.Details{"expires": made.ExpiresAt.UTC().Format(time.RFC3339)}
	return Link{who, r.link(ticket), made.ExpiresAt}, tx.Record(by, model.ActionRecoveryLink, who.ID, details)
}
