package move

import (
	"bytes"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// sessions takes over the sign-ins: new ones, those with other tokens, and the end of those that are gone there.
func (m *merge) sessions() error {
	there, before := map[string]bool{}, m.base.seated(func(one seating) string { return one.Key })
	for _, s := range m.their.Sessions {
		there[s.key()] = true
		known, found := before[s.key()]
		seat := m.seat
		if found && known.ID != "" {
			seat = func(s Session) (seating, error) { return m.reseat(s, known) }
		}
		seated, err := seat(s)
		if err != nil {
			return err
		}
		m.next.Sessions = append(m.next.Sessions, seated)
	}
	if m.base == nil {
		return nil
	}
	for _, seated := range m.base.Sessions {
		if there[seated.Key] || seated.ID == "" {
			continue
		}
		kept, err := m.unseat(seated)
		if err != nil {
			return err
		}
		if kept {
			m.next.Sessions = append(m.next.Sessions, seated)
		}
	}
	return nil
}

// seating describes a session as it is taken.
func (m *merge) seating(s Session, id string) seating {
	pairs, _, _ := s.counters()
	return seating{Key: s.key(), ID: id, Name: digest(s.DeviceName), Tokens: s.tokensDigest(m.user.Admin), Pairs: pairs}
}

// seat makes a session with the tokens that it has there.
func (m *merge) seat(s Session) (seating, error) {
	if s.DeviceID != "" && !m.made {
		_, err := m.tx.LiveSessionOnDevice(m.user.ID, s.DeviceID)
		if err == nil {
			m.findings.Note(DeviceHere, m.their.Name+" "+s.DeviceID)
			return m.seating(s, ""), nil
		}
		if !errors.Is(err, model.ErrNotFound) {
			return seating{}, err
		}
	}
	if taken, err := m.tokensTaken(s, ""); err != nil || taken {
		return m.seating(s, ""), err
	}
	made := model.Session{
		// The id tells when the session began here: what a backup of before lacks is lost, and not dead.
		ID: model.NewID(m.tx.Now), Kind: model.CompatSession, UserID: m.user.ID,
		DeviceID: s.DeviceID, LastIP: s.LastIP, UserAgent: s.UserAgent,
	}
	m.describe(&made, s)
	if made.LastActiveAt.IsZero() {
		made.LastActiveAt = m.tx.Now
	}
	made.CreatedAt = made.LastActiveAt
	if err := m.tx.InsertImported(made, m.user.Localpart, s.rows(made.Kind, m.tx.Now)); err != nil {
		return seating{}, err
	}
	m.taken.Sessions++
	m.taken.Tokens += int64(len(s.Tokens))
	m.changed = m.changed || m.base != nil
	return m.seating(s, made.ID), m.noteNetwork(made.LastIP, made.LastActiveAt)
}

// noteNetwork has a sign-in from where somebody was lately be none from an unknown place.
func (m *merge) noteNetwork(ip string, at time.Time) error {
	if ip == "" || m.networks[ip] || m.tx.Now.Sub(at) > bound.KeepKnownNetwork {
		return nil
	}
	if m.networks == nil {
		m.networks = map[string]bool{}
	}
	m.networks[ip] = true
	return m.tx.NoteNetwork(m.user.ID, ip)
}

// describe has a session say what the other server says of it.
func (m *merge) describe(made *model.Session, s Session) {
	// Admins keep the administration of the homeserver that each of their tokens had there.
	made.Scope = model.CompatScope(m.user.Admin)
	made.DeviceName, made.EndsAt = s.DeviceName, s.EndsAt
	made.Pairs, made.Generation, made.UsedGeneration = s.counters()
	if at := s.LastActiveAt; at.Unix() > 0 && !at.After(m.tx.Now) && at.After(made.LastActiveAt) {
		made.LastActiveAt = at
	}
}

// tokensTaken reports whether another session than one has a token of a session.
func (m *merge) tokensTaken(s Session, but string) (bool, error) {
	hashes := make([]model.TokenHash, len(s.Tokens))
	for i, t := range s.Tokens {
		hashes[i] = t.Hash
	}
	owners, err := m.tx.SessionsOfTokens(hashes)
	for _, owner := range owners {
		if owner != but {
			m.findings.Note(TokenTaken, m.their.Name+" "+s.DeviceID)
			return true, nil
		}
	}
	return false, err
}

// reseat has a session follow what changed there.
func (m *merge) reseat(s Session, known seating) (seating, error) {
	now := m.seating(s, known.ID)
	ours, err := m.tx.Session(known.ID)
	if errors.Is(err, model.ErrNotFound) { // ended here, long ago
		ours.EndedAt, err = m.tx.Now, nil
	}
	if err != nil {
		return now, err
	}
	moved := !bytes.Equal(now.Tokens, known.Tokens)
	switch {
	case ours.Ended():
		now.Tokens, now.Pairs = known.Tokens, known.Pairs
		if moved {
			m.conflict("the session on device %q", s.DeviceID)
		}
		return now, nil
	case ours.Pairs != known.Pairs:
		now.Pairs = known.Pairs // it went on here, and stays so
		if !moved {
			return now, nil
		}
		return now, m.joinTokens(s, ours)
	}
	name, used := ours.DeviceName, ours.UsedGeneration
	m.describe(&ours, s)
	if !moved { // what was used here consumed its refresh token, which must not come back
		ours.UsedGeneration = max(ours.UsedGeneration, used)
	}
	if !bytes.Equal(digest(name), known.Name) {
		ours.DeviceName = name // renamed here
	}
	if moved {
		if taken, err := m.tokensTaken(s, ours.ID); err != nil || taken {
			return known, err
		}
		if err := m.replaceTokens(s, ours); err != nil {
			return now, err
		}
		m.taken.SessionsChanged++
		m.changed = true
	}
	return now, m.tx.UpdateTakenSession(ours)
}

// replaceTokens gives a session the tokens that it has at the other server by now, with what they may.
func (m *merge) replaceTokens(s Session, ours model.Session) error {
	if err := m.tx.DeleteTokens(ours.ID); err != nil {
		return err
	}
	for _, row := range s.rows(ours.Kind, m.tx.Now) {
		if err := m.tx.InsertImportedToken(ours, m.user.Localpart, row); err != nil {
			return err
		}
		m.taken.Tokens++
	}
	return m.tx.SetScope(ours.ID, ours.Scope)
}

// joinTokens adds what a session has at the other server by now to what it got here meanwhile, as its app went on here and
// then there, on the way back, or has been seen by both in a rehearsal. Nobody knows which of them it holds.
func (m *merge) joinTokens(s Session, ours model.Session) error {
	pairs, generation := ours.Pairs, ours.Generation
	for _, row := range s.rows(ours.Kind, m.tx.Now) {
		owners, err := m.tx.SessionsOfTokens([]model.TokenHash{row.Hash})
		if err != nil {
			return err
		}
		if len(owners) > 0 {
			continue
		}
		row.Pair, row.Generation = row.Pair+pairs, row.Generation+generation
		ours.Pairs, ours.Generation = max(ours.Pairs, row.Pair), max(ours.Generation, row.Generation)
		if err := m.tx.InsertImportedToken(ours, m.user.Localpart, row); err != nil {
			return err
		}
		m.taken.Tokens++
	}
	m.taken.SessionsChanged++
	m.changed = true
	// It may do no more than its user, whatever it did here.
	if ours.Scope = model.CompatScope(m.user.Admin); !m.user.Admin {
		if err := m.tx.SetScope(ours.ID, ours.Scope); err != nil {
			return err
		}
	}
	return m.tx.UpdateTakenSession(ours)
}

// unseat ends a session that the other server has no more, and reports whether it stays in the journal. One whose tokens
// have all expired is not gone there for that reason: its app is to keep its keys, so it is left.
func (m *merge) unseat(known seating) (kept bool, err error) {
	ours, err := m.tx.LiveSession(known.ID)
	if errors.Is(err, model.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if ours.Pairs != known.Pairs {
		m.conflict("the session on device %q is gone there", ours.DeviceID)
		return true, nil
	}
	lives, err := m.tx.HasLiveToken(ours.ID)
	if err != nil || !lives {
		return true, err
	}
	m.taken.SessionsEnded++
	m.changed = true
	_, err = m.Sessions.EndAgain(m.tx, m.by, ours.ID, model.EndDeviceDeleted)
	return false, err
}
