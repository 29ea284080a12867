package account

import (
	"cmp"
	"net/http"
	"strconv"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// activityGoal leads to the page of what happened.
var activityGoal = signin.AccountPage{Action: signin.ActivityAction}

// beforeParam is the cursor of a page of what happened.
const beforeParam = "before"

// ActivityPage answers GET account/activity: what happened to the account of who is signed in.
func (d *Door) ActivityPage(w http.ResponseWriter, r *http.Request) error {
	signedIn, who, ok, err := d.owner(w, r, activityGoal)
	if !ok {
		return err
	}
	// What is no cursor leads to the first page: somebody shortened the address.
	before, err := strconv.ParseInt(r.URL.Query().Get(beforeParam), 10, 64)
	if err != nil || before < 0 {
		before = 0
	}
	shown := page.Activity{MatrixID: model.MatrixID(who.Localpart, d.ServerName), Later: before > 0}
	if before == 0 {
		if shown.Failed, err = d.failed(r, signedIn.UserID); err != nil {
			return err
		}
	}
	if shown.Happened, shown.Older, err = d.happened(r, signedIn.UserID, before); err != nil {
		return err
	}
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

func (d *Door) failed(r *http.Request, userID string) ([]page.FailedSignIns, error) {
	all, err := d.Failures.Of(r.Context(), userID)
	if err != nil {
		return nil, err
	}
	shown := make([]page.FailedSignIns, 0, len(all))
	for _, f := range all {
		// Whoever guesses can call themselves anything, and must not have a page of ours say it (HTTP-9).
		shown = append(shown, page.FailedSignIns{First: f.First, Last: f.Last, Tries: f.Tries, Network: f.Network, Agent: browserOf(f.UserAgent)})
	}
	return shown, nil
}

func (d *Door) happened(r *http.Request, userID string, before int64) (shown []page.Happening, older int64, err error) {
	events, older, err := d.Users.Events(r.Context(), userID, before)
	if err != nil {
		return nil, 0, err
	}
	named := d.named(r.Context(), d.Pages.Language(r, ""))
	for _, e := range events {
		if !page.Tells(e.Action) {
			continue
		}
		one, err := tell(e, named)
		if err != nil {
			return nil, 0, err
		}
		shown = append(shown, one)
	}
	return shown, older, nil
}

// tell returns an event as its account's holder sees it. An operator's name, and the uid, stay out: they are a user's of the
// machine.
func tell(e model.Event, named naming) (h page.Happening, err error) {
	detail := func(name string) string {
		text, _ := e.Details[name].(string)
		return model.PlainText(text)
	}
	h = page.Happening{At: e.At, Action: e.Action, By: e.By.Kind, DeviceID: detail("device_id"), Browser: detail("kind") == model.BrowserKind}
	h.Admin, _ = e.Details["admin"].(bool)
	if e.By.Kind == model.ActorUser {
		h.Agent, h.IP = describeAgent(e.By.Source.UserAgent), e.By.Source.IP
	}
	h.Name = cmp.Or(detail("email"), detail("display_name"), detail("name"))
	if id := detail("client_id"); id != "" && h.Name == "" {
		h.Name, _, err = named(id) // "all", and one that is gone, have no name
	}
	return h, err
}
