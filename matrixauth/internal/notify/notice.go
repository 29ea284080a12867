package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Kind is what a notice tells. The values are those of the configuration, and stored in jobs.
type Kind = model.NoticeKind

// The kinds of notices.
const (
	SignIn         = model.NoticeSignIn
	Password       = model.NoticePassword
	AddressAdded   = model.NoticeAddressAdded
	AddressRemoved = model.NoticeAddressRemoved
	Deactivated    = model.NoticeDeactivated
)

// topics are what owners switch, by the kinds of notices about them.
var topics = map[Kind]string{
	SignIn: "sign_in", Password: "password", AddressAdded: "addresses", AddressRemoved: "addresses", Deactivated: "deactivated",
}

// Topics lists what owners switch, by the names of the configuration.
var Topics = []string{"sign_in", "password", "addresses", "deactivated"}

// Notice is something that the holder of an account should hear of.
type Notice = model.Notice

// notice is the payload of a job: a mail to one address.
type notice struct {
	Kind     Kind      `json:"notice"`
	Address  string    `json:"address"`
	Language string    `json:"language,omitempty"`
	Agent    string    `json:"agent,omitempty"`
	App      bool      `json:"app,omitempty"`
	At       time.Time `json:"at"`
}

// noticeJob sends a notice to one address. Each address has a lane of its own: one that takes no mail must not keep the
// others from hearing.
var noticeJob = outbox.NewKind[notice](model.JobNotice, model.ToMail)

// Notify has the addresses of an account told what happened, once the transaction is durable. The domain calls it in the
// transaction of the event. It does nothing if mail is not configured or the owner wants no notices of the kind.
func (l *Letters) Notify(tx *store.Tx, n Notice) error {
	if !l.On() || !slices.Contains(l.config.Topics, topics[n.Kind]) {
		return nil
	}
	if n.Kind == SignIn {
		// Whoever knows the password could have mails pile up while no server takes them.
		if waiting, err := tx.CountWaiting(model.ToMail, n.UserID, model.JobNotice); err != nil || waiting >= bound.NoticesWaiting {
			return err
		}
	}
	if n.Language == "" {
		var err error
		if n.Language, err = tx.UserLanguage(n.UserID); err != nil {
			return err
		}
	}
	addresses := n.Addresses
	if len(addresses) == 0 {
		emails, err := tx.Emails(n.UserID)
		if err != nil {
			return err
		}
		for _, email := range emails {
			addresses = append(addresses, email.Address)
		}
	}
	for _, address := range addresses {
		payload := notice{Kind: n.Kind, Address: address, Language: n.Language, Agent: n.Agent, App: n.App, At: tx.Now.UTC()}
		if err := noticeJob.Enqueue(l.config.Outbox, tx, model.SubjectOf(n.UserID, laneOf(address)), payload); err != nil {
			return err
		}
	}
	return nil
}

// sendNotice does a job.
func (l *Letters) sendNotice(ctx context.Context, job outbox.Job[notice]) error {
	userID, n := model.UserOfSubject(job.Subject), job.Payload
	if l.tooOld(job.CreatedAt) {
		l.logGivenUp(ctx, userID, n.Kind, "it is too old")
		return nil
	}
	if job.Attempts == 0 {
		// Each topic has a count of its own: many sign-ins must not keep the notice of a changed password back.
		if err := l.config.Limiter.Take(limit.NoticesByAccount, userID+"/"+topics[n.Kind], bound.NoticesPerAccount); err != nil {
			l.logGivenUp(ctx, userID, n.Kind, "the account has had too many")
			return nil
		}
	}
	var who model.User
	err := l.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		who, err = tx.User(userID)
		return err
	})
	if errors.Is(err, model.ErrNotFound) {
		return nil // there is nobody left to tell
	}
	if err != nil {
		return err
	}
	return l.Send(ctx, n.Address, n.Language, page.Notice{
		Kind: n.Kind, At: n.At, MatrixID: model.MatrixID(who.Localpart, l.config.ServerName), Agent: n.Agent, App: n.App,
	})
}

// laneOf tells the lanes of the addresses of an account apart, without naming them.
func laneOf(address string) string {
	sum := sha256.Sum256([]byte(address))
	return hex.EncodeToString(sum[:6])
}
