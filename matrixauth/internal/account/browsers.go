package account

import (
	"context"
	"net/http"
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// browsersGoal leads to the page of browsers.
var browsersGoal = signin.AccountPage{Action: signin.BrowsersAction}

// BrowsersPage answers GET account/browsers.
func (d *Door) BrowsersPage(w http.ResponseWriter, r *http.Request) error {
	signedIn, who, ok, err := d.owner(w, r, browsersGoal)
	if !ok {
		return err
	}
	all, err := d.browsers(r.Context(), signedIn)
	if err != nil {
		return err
	}
	ended := r.URL.Query().Get(endedParam)
	return d.Pages.Render(w, r, http.StatusOK, page.Browsers{
		MatrixID: model.MatrixID(who.Localpart, d.ServerName), Browsers: all, Ended: ended != "" && ended != endedAll, EndedAll: ended == endedAll,
	})
}

// browsers returns the browser sessions of a user, the one that asks first.
func (d *Door) browsers(ctx context.Context, asking model.BrowserSession) ([]page.Session, error) {
	live, err := d.Browsers.List(ctx, asking.UserID)
	if err != nil {
		return nil, err
	}
	shown := make([]page.Session, 0, len(live))
	for _, s := range live {
		shown = append(shown, page.Session{
			ID: s.ID, Agent: describeAgent(s.UserAgent), SignedIn: s.CreatedAt, LastActive: s.LastActiveAt, IP: s.LastIP, Current: s.ID == asking.ID,
		})
	}
	slices.SortStableFunc(shown, func(a, b page.Session) int {
		if a.Current != b.Current {
			if a.Current {
				return -1
			}
			return 1
		}
		return lastFirst(a, b)
	})
	return shown, nil
}
