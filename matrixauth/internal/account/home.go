package account

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// endedParam marks the address of the account page after a session was signed out, with endedAll after
// several were.
const (
	endedParam = "ended"
	endedAll   = "all"
)

// renamedParam marks the address of the account page after a device was given a name.
const renamedParam = "renamed"

// HomeWithoutSlash answers GET account, which some link to without the slash.
func (d *Door) HomeWithoutSlash(w http.ResponseWriter, r *http.Request) error {
	return d.seeOther(w, page.AccountPath, signin.ReadAccountPage(r.URL.Query().Get).Query())
}

// Home answers GET account/, with or without an action (ACCT-2, ACCT-3).
func (d *Door) Home(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	goal := signin.ReadAccountPage(query.Get)
	signedIn, who, ok, err := d.owner(w, r, goal)
	if !ok {
		return err
	}
	if other, ok := d.otherAccount(goal, who); ok {
		return d.Pages.Render(w, r, http.StatusOK, other)
	}
	action := goal.Kind()
	switch action {
	case signin.EditProfile:
		return d.seeOther(w, page.ProfilePath, nil)
	case signin.LeaveAccount:
		return d.seeOther(w, page.LeavePath, nil)
	case signin.ResetCrossSigning:
		return d.askReset(w, r, signedIn, who)
	case signin.ChangePassword:
		return d.seeOther(w, page.PasswordPath, nil)
	case signin.AddAddress:
		return d.seeOther(w, page.AddAddressPath, nil)
	case signin.ListAddresses:
		return d.seeOther(w, page.AddressesPath, nil)
	case signin.ListBrowsers:
		return d.seeOther(w, page.BrowsersPath, nil)
	case signin.ShowActivity:
		return d.seeOther(w, page.ActivityPath, nil)
	}
	named := d.named(r.Context(), d.Pages.Language(r, ""))
	sessions, err := d.sessions(r.Context(), who, named)
	if err != nil {
		return err
	}
	if one := goal.DeviceID != "" || query.Has("session") || query.Has("device_id"); one && action != signin.ListSessions {
		chosen := slices.IndexFunc(sessions, func(s page.Session) bool {
			return goal.DeviceID != "" && s.DeviceID == goal.DeviceID || goal.DeviceID == "" && s.ID == query.Get("session")
		})
		if chosen < 0 {
			return sessionNotFound()
		}
		if action == signin.EndSession {
			return d.Pages.Render(w, r, http.StatusOK, page.EndSession{Session: sessions[chosen], Proof: d.proof(signedIn, who)})
		}
		sessions[chosen].Chosen = true
		// What was asked for stands first.
		sessions = slices.Concat(sessions[chosen:chosen+1], sessions[:chosen], sessions[chosen+1:])
	}
	granted, err := d.granted(r.Context(), who, named)
	if err != nil {
		return err
	}
	return d.Pages.Render(w, r, http.StatusOK, page.Account{
		MatrixID: model.MatrixID(who.Localpart, d.ServerName), Sessions: sessions, Granted: granted,
		Ended: query.Has(endedParam) && query.Get(endedParam) != endedAll, EndedAll: query.Get(endedParam) == endedAll,
		Renamed: query.Has(renamedParam), Changed: d.showsChanged(r),
	})
}

// naming returns a client's name for a person and its host. Both are empty for a client that is gone.
type naming func(clientID string) (name, host string, err error)

// named returns names in a language, and looks each client up once.
func (d *Door) named(ctx context.Context, language string) naming {
	clients := map[string]model.Client{}
	return func(id string) (name, host string, err error) {
		c, known := clients[id]
		if !known {
			if c, err = d.Clients.Find(ctx, id); err != nil && !errors.Is(err, model.UnknownClient) {
				return "", "", err
			}
			clients[id] = c
		}
		return c.Name(language), c.Host(), nil
	}
}

// sessions returns the sessions of a user's apps, the one used last first.
func (d *Door) sessions(ctx context.Context, who model.User, named naming) ([]page.Session, error) {
	live, err := d.Sessions.Live(ctx, who.ID)
	if err != nil {
		return nil, err
	}
	shown := make([]page.Session, 0, len(live))
	for _, s := range live {
		one := page.Session{ID: s.ID, DeviceID: s.DeviceID, DeviceName: model.PlainText(s.DeviceName),
			Agent: describeAgent(s.UserAgent), SignedIn: s.CreatedAt, LastActive: s.LastActiveAt, IP: s.LastIP}
		one.Twice = !s.TwiceAt.IsZero() && d.Sessions.Now().Sub(s.TwiceAt) < bound.ShowTwice
		if s.ClientID != "" {
			if one.ClientName, one.ClientHost, err = named(s.ClientID); err != nil {
				return nil, err
			}
		}
		shown = append(shown, one)
	}
	slices.SortStableFunc(shown, lastFirst)
	return shown, nil
}

func lastFirst(a, b page.Session) int { return b.LastActive.Compare(a.LastActive) }
