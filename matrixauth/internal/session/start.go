package session

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Start says what session to start.
type Start struct {
	Kind model.SessionKind
	User model.User
	// DeviceID is the device that the client named; empty to have one made.
	DeviceID string
	// DeviceName is given to the device only if the homeserver does not know it yet.
	DeviceName string
	Scope      string
	// Refreshable sessions get a refresh token and an access token that expires; others one access
	// token that does not.
	Refreshable bool
	// NoDevice starts a session without a device: administration has none (AMB-6).
	NoDevice bool
	// ClientID is the OAuth client, and BrowserSessionID where the user approved it.
	ClientID         string
	BrowserSessionID string
	Source           model.Source
	// By is who starts the session, if it is not the user.
	By model.Actor
	// Consume runs in the transaction that starts the session and uses up what entitles to it. Its error
	// leaves no session behind.
	Consume func(*store.Tx, model.Session) error

	// created reports whether the homeserver did not know the device.
	created bool
}

// by returns who starts the session.
func (p Start) by() model.Actor {
	if p.By.Kind != "" {
		return p.By
	}
	return model.Holder(p.User.ID, p.Source)
}

// Start starts a session. User and device exist at the homeserver before a token is given out,
// because Synapse remembers a refusal for two minutes (TOK-15, SYN-8). A live session on the same
// device ends, and the device keeps its keys (SCOPE-9). An account that the homeserver has deactivated
// returns an error of code UserDeactivated (MOD-11). If the homeserver does not answer, the
// error is of kind Unavailable and nothing is left behind.
func (s *Sessions) Start(ctx context.Context, p Start) (model.Session, Tokens, error) {
	if p.NoDevice {
		return s.startWithoutDevice(ctx, p)
	}
	if p.DeviceID == "" {
		p.DeviceID = model.NewDeviceID()
	}
	if err := CheckDevice(p.DeviceID); err != nil {
		return model.Session{}, Tokens{}, err
	}
	work, cancel := context.WithTimeout(ctx, bound.LoginAtHomeserver)
	defer cancel()
	leave, err := s.config.Outbox.Enter(work, model.ToHomeserver.Lane(p.User.ID))
	if err != nil {
		return model.Session{}, Tokens{}, err
	}
	defer leave()

	if err := s.confirm(work, p.User); err != nil {
		return model.Session{}, Tokens{}, err
	}
	note, err := s.noteDevice(work, p.User.ID, p.DeviceID)
	if err != nil {
		return model.Session{}, Tokens{}, err
	}
	if p.created, err = s.ensureDevice(work, p); err != nil {
		return model.Session{}, Tokens{}, err
	}
	if !p.created && note != 0 {
		// It was there before, perhaps with keys: whatever fails from here on must not delete it.
		if err := s.config.Store.Update(work, func(tx *store.Tx) error { return tx.DeleteJob(note) }); err != nil {
			return model.Session{}, Tokens{}, err
		}
		note = 0
	}
	// From here on the homeserver has done its part: a client that hangs up does not undo it.
	return s.commit(context.WithoutCancel(ctx), p, note)
}

// startWithoutDevice starts a session that has no device. The lane makes sure that the homeserver knows
// the user.
func (s *Sessions) startWithoutDevice(ctx context.Context, p Start) (model.Session, Tokens, error) {
	p.DeviceID = ""
	work, cancel := context.WithTimeout(ctx, bound.LoginAtHomeserver)
	defer cancel()
	leave, err := s.config.Outbox.Enter(work, model.ToHomeserver.Lane(p.User.ID))
	if err != nil {
		return model.Session{}, Tokens{}, err
	}
	defer leave()
	if err := s.confirm(work, p.User); err != nil {
		return model.Session{}, Tokens{}, err
	}
	return s.commit(context.WithoutCancel(ctx), p, 0)
}

func (s *Sessions) confirm(ctx context.Context, user model.User) error {
	if s.config.Confirm == nil {
		return nil
	}
	return s.config.Confirm(ctx, user)
}

// CheckDevice refuses a device id in the form of a public key: the homeserver keeps cross-signing
// keys and devices of a user in one name space, and a device that bears the name of such a key
// would pass for it (LEG-24, SCOPE-17). No client makes such ids, so the form alone is refused.
func CheckDevice(id string) error {
	if err := model.CheckDeviceID(id); err != nil {
		return err
	}
	if raw, err := base64.RawStdEncoding.DecodeString(id); err == nil && len(raw) == 32 {
		return model.Errorf(model.DeviceIDForbidden, "a device id must not look like a cross-signing key")
	}
	return nil
}

// noteDevice durably notes "delete this device unless a session has it", so that a crash between
// the homeserver's making of the device and our commit leaves no device without a session. It returns
// the position of the note; zero for none. While the homeserver is read-only no device is made and nothing is noted:
// such a note would wait, and delete a device that the homeserver has from elsewhere. Nor is a device noted that waits
// for its owner after a soft end: it has keys.
func (s *Sessions) noteDevice(ctx context.Context, userID, deviceID string) (job int64, err error) {
	err = s.config.Store.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.LiveSessionOnDevice(userID, deviceID)
		switch {
		case err != nil && !errors.Is(err, model.ErrNotFound):
			return err
		case s.config.ReadOnly && err != nil:
			return model.Errorf(model.TemporarilyDown, "new devices cannot be made while the homeserver is read-only")
		case s.config.ReadOnly:
			return nil
		}
		last, err := tx.LastEndedOnDevice(userID, deviceID)
		if err != nil && !errors.Is(err, model.ErrNotFound) || err == nil && last.EndedSoftly() {
			return err
		}
		job, err = DeleteDeviceJob.Note(tx, userID, DeleteDevice{deviceID})
		return err
	})
	return job, err
}

// ensureDevice makes the device at the homeserver. An existing device keeps the name that its owner
// may have given it (LEG-23).
func (s *Sessions) ensureDevice(ctx context.Context, p Start) (created bool, err error) {
	if s.config.ReadOnly {
		return false, nil // a live session has the device, so it is there
	}
	created, err = s.config.Homeserver.UpsertDevice(ctx, p.User.Localpart, p.DeviceID, "")
	if err == nil && created {
		// Only the homeserver knows the devices from before us. The note deletes what it has just made.
		if err := model.CheckNewDeviceID(p.DeviceID); err != nil {
			return created, err
		}
	}
	if err == nil && created && p.DeviceName != "" {
		err = s.config.Homeserver.UpdateDeviceDisplayName(ctx, p.User.Localpart, p.DeviceID, p.DeviceName)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) { // by a client that is gone, which says nothing of the homeserver
			s.config.Logger.Warn("a device could not be made at the homeserver", model.LogUser(p.User.Localpart, s.config.ServerName, p.User.ID), "error", err)
		}
		return created, model.NewError(model.TemporarilyDown).WithCause(err)
	}
	return created, nil
}

// commit writes session and tokens and drops the note; none has position zero.
func (s *Sessions) commit(ctx context.Context, p Start, job int64) (session model.Session, tokens Tokens, err error) {
	err = s.config.Store.Update(ctx, func(tx *store.Tx) error {
		// The user may have been locked or deactivated while the homeserver was asked.
		user, err := tx.User(p.User.ID)
		if err != nil {
			return fmt.Errorf("user %s: %w", p.User.ID, err)
		}
		if err := user.MayAct(); err != nil {
			return err
		}
		old, err := s.replace(tx, p.by(), user.ID, p.DeviceID)
		if err != nil {
			return err
		}
		if old.DeviceName != "" && !p.created { // it keeps its name at the homeserver too
			p.DeviceName = old.DeviceName
		}
		session = model.Session{
			ID: model.NewID(tx.Now), Kind: p.Kind, UserID: user.ID, DeviceID: p.DeviceID, DeviceName: p.DeviceName, Scope: p.Scope,
			CreatedAt: tx.Now, LastActiveAt: tx.Now, LastIP: p.Source.IP, UserAgent: p.Source.UserAgent,
			ClientID: p.ClientID, BrowserSessionID: p.BrowserSessionID, Seed: model.NewSeed(),
		}
		if s.config.Started != nil && p.By.Kind == "" {
			if err := s.config.Started(tx, session); err != nil {
				return err
			}
		}
		if err := tx.InsertSession(session); err != nil {
			return err
		}
		if err := tx.Record(p.by(), model.ActionStartSession, user.ID, session.Details()); err != nil {
			return err
		}
		if err := tx.NoteNetwork(user.ID, p.Source.IP); err != nil {
			return err
		}
		life := s.config.AccessLife
		if !p.Refreshable {
			life = 0
		}
		if tokens, err = s.mintPair(tx, minting{
			session: session, localpart: user.Localpart, life: life, place: s.config.Keys.Network(p.Source.IP),
		}); err != nil {
			return err
		}
		if p.Consume != nil {
			if err := p.Consume(tx, session); err != nil {
				return err
			}
		}
		return tx.DeleteJob(job)
	})
	return session, tokens, err
}

// replace ends the session that a device has, whatever its kind; the device stays (SCOPE-9).
// It returns the session that ended, if there was one.
func (s *Sessions) replace(tx *store.Tx, by model.Actor, userID, deviceID string) (old model.Session, err error) {
	if deviceID == "" {
		return old, nil
	}
	old, err = tx.LiveSessionOnDevice(userID, deviceID)
	if errors.Is(err, model.ErrNotFound) {
		return old, nil
	}
	if err != nil {
		return old, err
	}
	return old, s.endRows(tx, by, old, model.EndReplaced)
}

// minting says what pair of tokens to mint.
type minting struct {
	session   model.Session
	localpart string
	// parent is the refresh token that mints; a login has none.
	parent *model.Token
	// life is that of the access token; with zero it does not expire, and no refresh token is minted.
	life time.Duration
	// scope narrows the access token; empty leaves it the session's.
	scope string
	// place is the network that asks.
	place model.NetworkMark
}

// mintPair mints tokens of the generation that follows the parent.
func (s *Sessions) mintPair(tx *store.Tx, p minting) (Tokens, error) {
	of := p.session
	row := model.Token{
		SessionID: of.ID, CreatedAt: tx.Now, UserID: of.UserID, Localpart: p.localpart, DeviceID: of.DeviceID, Scope: of.Scope, ClientID: of.ClientID,
	}
	used := int64(0)
	row.Places = model.Places{Minted: p.place, Before: p.place}
	if p.parent != nil {
		// Where nobody knows where the parent was minted, as the database went back, this place counts for it: else the next
		// refresh would be near to all.
		row.Places.Before = cmp.Or(p.parent.Places.Minted, p.place)
		row.Parent, row.Generation, used = p.parent.Hash, p.parent.Generation+1, p.parent.Generation
	}
	var err error
	if row.Pair, err = tx.CountPair(of, row.Generation, used); err != nil {
		return Tokens{}, err
	}
	if err := tx.TidyTokens(of, row.Pair, used); err != nil {
		return Tokens{}, err
	}
	access, refresh := row, row
	access.Places = model.Places{}
	access.Kind, refresh.Kind = of.Kind.Tokens()
	if p.scope != "" {
		access.Scope = p.scope
	}
	claims := model.Claims{SessionID: of.ID, Generation: row.Generation, MintedAt: tx.Now, Life: p.life}
	narrowed := claims
	narrowed.Narrowed = access.Scope != of.Scope
	tokens := Tokens{Access: s.config.Keys.Mint(access.Kind, narrowed, of.Seed), Life: p.life, Scope: access.Scope, Owner: row.Owner()}
	access.Hash = model.HashToken(tokens.Access)
	if p.life == 0 {
		return tokens, tx.InsertToken(access)
	}
	access.ExpiresAt = tx.Now.Add(p.life)
	tokens.Refresh = s.config.Keys.Mint(refresh.Kind, claims, of.Seed)
	refresh.Hash = model.HashToken(tokens.Refresh)
	return tokens, tx.InsertTokenPair(access, refresh)
}
