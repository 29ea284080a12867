package notify

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// BrowserSignedIn has the holder of an account told of a sign-in at our pages, unless the account is known in that browser,
// or nobody ever signed in to it before. It is called in the transaction that begins the session. language is that of the
// page, and agent names the browser by words of ours.
func (l *Letters) BrowserSignedIn(tx *store.Tx, s model.BrowserSession, known bool, language, agent string) error {
	first, err := tx.NoteSignIn(s.UserID, language)
	if err != nil {
		return err
	}
	if known && !first {
		return nil
	}
	// An app that is approved here in a moment is part of the same sign-in.
	if err := tx.NoteTold(s.ID); err != nil || first {
		return err
	}
	return l.Notify(tx, Notice{Kind: SignIn, UserID: s.UserID, Language: language, Agent: agent})
}

// AppSignedIn has the holder of an account told of an app that was not signed in to it before. It is called in the
// transaction that begins the session, before its row is there.
func (l *Letters) AppSignedIn(tx *store.Tx, s model.Session) error {
	first, err := tx.NoteSignIn(s.UserID, "")
	if err != nil || first {
		return err
	}
	if s.BrowserSessionID != "" {
		if told, err := tx.Told(s.BrowserSessionID, bound.NoticeQuiet); err != nil || told {
			return err
		}
	}
	if had, err := tx.HadSession(s); err != nil || had {
		return err
	}
	return l.Notify(tx, Notice{Kind: SignIn, UserID: s.UserID, App: true})
}
