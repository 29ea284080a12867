package grant

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// walk is a random walk of many requests of one user through all that may happen to them, beside a model
// that knows from a few plain facts what must come of each step.
type walk struct {
	*house
	random   *rand.Rand
	requests []*known
	// live are the sessions that must live, by their ids.
	live map[string]begun
	// consents are the clients that need not ask.
	consents map[string]bool
	browsers int
	thrown   map[string]bool // browser sessions that were ended from outside
	steps    []string
}

// begun is what the model knows of a session.
type begun struct{ device, client string }

// known is what the model knows of a request.
type known struct {
	id, code, device, client string
	browser, answeredBy      string // the browser session that approved, and the cookie's value
	admin, polled            bool
	// closes is until when it can be answered, forgotten until when it is known.
	closes, forgotten, codeEnds, usedAt time.Time
	approved, declined, spoiled         bool
	silent                              bool   // nobody was asked
	session                             string // of the exchange that worked
}

// TestWalks: whatever happens in whatever order, a request starts one session at most, a code works once and on its own way alone,
// a browser that answers again is told the same, nothing starts for who may not, and nobody is signed in
// without a question after a sign-out; administration needs a fresh password (TOK-9, TOK-12, TOK-13, SCOPE-13, AUTHZ-14, AUTHZ-18, AUTHZ-30).
func TestWalks(t *testing.T) {
	walks := 20
	if testing.Short() {
		walks = 5
	}
	for seed := range uint64(walks) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := &walk{house: newHouse(t), random: rand.New(rand.NewPCG(seed, 2)), live: map[string]begun{}, consents: map[string]bool{}, thrown: map[string]bool{}}
			defer func() {
				if t.Failed() {
					t.Log(strings.Join(w.steps, "\n"))
				}
			}()
			for range 200 {
				w.step()
				w.check()
			}
		})
	}
}

func (w *walk) note(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

func (w *walk) step() {
	w.t.Helper()
	if len(w.requests) == 0 {
		w.ask()
		return
	}
	if (w.alice.Locked() || w.alice.Deactivated() || !w.alice.Admin) && w.random.IntN(3) == 0 {
		w.changeUser()
		return
	}
	// Mostly go on with what is new.
	r := w.requests[max(0, len(w.requests)-1-w.random.IntN(3))]
	if w.random.IntN(10) == 0 {
		r = w.requests[w.random.IntN(len(w.requests))]
	}
	switch n := w.random.IntN(36); {
	case n < 3:
		w.ask()
	case n >= 34:
		w.withdraw()
	case n >= 30:
		w.askSilently()
	case n < 8:
		w.answer(r, true)
	case n < 9:
		w.answer(r, false)
	case n < 20:
		w.redeem(r, "")
	case n < 22:
		wrong := []string{"client", "delivery", "redirect", "verifier"}
		if r.polled {
			wrong = wrong[:2]
		}
		w.redeem(r, w.anyOf(wrong...))
	case n < 25:
		d := []time.Duration{time.Second, bound.DoubleSubmit - time.Second, bound.DoubleSubmit, time.Minute, bound.CodeLife, bound.RequestLife}[min(w.random.IntN(6), w.random.IntN(6))]
		w.note("%v pass", d)
		w.clock.Move(d)
	case n < 29:
		w.changeUser()
	default:
		w.disturb()
	}
}

func (w *walk) anyOf(names ...string) string { return names[w.random.IntN(len(names))] }

// ask begins a request.
func (w *walk) ask() {
	w.t.Helper()
	r := &known{device: w.anyOf("DEVICE0", "DEVICE1", "DEVICE2"), client: w.anyOf("client", "client", "other"), admin: w.random.IntN(3) == 0, polled: w.random.IntN(3) == 0}
	r.closes = w.clock.Now().Add(bound.RequestLife)
	r.forgotten = r.closes
	text := api + " " + device + r.device
	if r.admin {
		text += " " + admin
	}
	if r.polled {
		r.code = fmt.Sprintf("secret %d", len(w.requests))
		r.id = w.beginPolled(r.client, r.code, scope(text))
	} else {
		r.id = w.begin(r.client, scope(text))
	}
	w.requests = append(w.requests, r)
	w.note("request %d of %s begins, polled %v: %s", len(w.requests)-1, r.client, r.polled, text)
}

// askSilently asks with prompt=none.
func (w *walk) askSilently() {
	w.t.Helper()
	r := &known{device: w.anyOf("DEVICE0", "DEVICE1", "DEVICE2"), client: w.anyOf("client", "client", "other"), silent: true}
	ask := goodAsk()
	ask.Scope = api + " " + device + r.device
	request, err := ParseRequest(w.client(r.client), callback, ask)
	w.must(err)
	want := w.barred(r)
	taken := slices.ContainsFunc(slices.Collect(maps.Values(w.live)), func(b begun) bool { return b.device == r.device && b.client != r.client })
	if want == "" && (!w.consents[r.client] || taken) {
		want = model.ConsentRequired
	}
	r.code, err = w.grants.Silently(w.t.Context(), w.client(r.client), request, w.browser)
	w.note("%s asks silently: %v", r.client, err)
	w.expect(err, want)
	if err == nil {
		w.approved(r)
		w.requests = append(w.requests, r)
	}
}

func (w *walk) approved(r *known) {
	r.approved, r.browser, r.answeredBy, r.codeEnds = true, w.browser.ID, w.browser.Value, w.clock.Now().Add(bound.CodeLife)
	r.forgotten = r.codeEnds.Add(bound.KeepAnswered)
}

// barred is why the user may not have what a request asks for; empty if they may.
func (w *walk) barred(r *known) model.Code {
	switch {
	case w.alice.Deactivated():
		return model.UserDeactivated
	case w.alice.Locked():
		return model.UserLocked
	case r.admin && !w.alice.Admin:
		return model.AccessDenied
	}
	return ""
}

// again is what a browser that answered before must be told: a code, that it is done, or that it declined.
func (w *walk) again(r *known) (want Outcome, told bool) {
	now := w.clock.Now()
	if !r.approved && !r.declined || r.answeredBy != w.browser.Value || !now.Before(r.forgotten) {
		return want, false
	}
	switch {
	case r.session != "":
		want.Approved, want.Done = true, true
	case r.spoiled, !now.Before(r.codeEnds):
		return want, false
	case !r.declined:
		want.Approved, want.Code = true, w.carried(r)
	}
	return want, true
}

// carried is what the browser takes to the client of an approved request.
func (w *walk) carried(r *known) string {
	if r.polled {
		return ""
	}
	return r.code
}

// answer approves a request after a look at it, or declines it.
func (w *walk) answer(r *known, yes bool) {
	w.t.Helper()
	if r.silent {
		return // its id never left the house
	}
	want := model.Code("")
	told, again := w.again(r)
	fresh := !r.approved && !r.declined && w.clock.Now().Before(r.closes)
	if yes && fresh {
		want = w.barred(r)
		if r.admin && w.clock.Now().Sub(w.browser.AuthenticatedAt) > bound.ProofLife {
			want = model.LoginRequired
			// They give their password again, so that the next answer may count.
			defer func() { w.browser.AuthenticatedAt = w.clock.Now() }()
		}
	}
	if yes {
		_, looked := w.grants.Review(w.t.Context(), r.id, w.browser)
		if fresh {
			w.expect(looked, want)
		} else {
			w.expect(looked, model.RequestExpired)
		}
	}
	if !fresh && !again {
		want = model.RequestExpired
	}
	var o Outcome
	var err error
	if yes {
		o, err = w.grants.Approve(w.t.Context(), r.id, w.browser)
	} else {
		o, err = w.grants.Decline(w.t.Context(), r.id, w.browser.Value)
	}
	w.note("request %d is answered %v: %v", slices.Index(w.requests, r), yes, err)
	w.expect(err, want)
	switch {
	case err != nil:
	case again && (yes || told.Done || !told.Approved):
		if o.Code != told.Code || o.Done != told.Done || o.Approved != told.Approved {
			w.t.Fatalf("told %q, %v, %v the second time", o.Code, o.Done, o.Approved)
		}
	case yes:
		if !o.Approved || o.Done || (o.Code == "") != r.polled {
			w.t.Fatalf("%+v", o)
		}
		if !r.polled {
			r.code = o.Code
		}
		w.approved(r)
		if !r.admin && !r.polled {
			w.consents[r.client] = true
		}
	default:
		if o.Code != "" || o.Done || o.Approved {
			w.t.Fatalf("%+v", o)
		}
		if r.approved { // the later word counts
			delete(w.consents, r.client)
		}
		r.declined, r.answeredBy, r.codeEnds = true, w.browser.Value, w.clock.Now().Add(bound.CodeLife)
	}
}

// redeem presents a code, with something wrong about it or not.
func (w *walk) redeem(r *known, wrong string) {
	w.t.Helper()
	if r.code == "" {
		return
	}
	now, want := w.clock.Now(), model.InvalidGrant
	switch {
	case wrong == "delivery": // it is nothing there, and as good as before here
	case r.polled && !r.approved && !r.declined:
		if wrong == "" && now.Before(r.closes) {
			want = stillWaiting
		}
	case r.polled && r.declined:
		if wrong == "" {
			want = model.AccessDenied
		}
	case r.session != "":
		if wrong == "" && now.Sub(r.usedAt) >= bound.DoubleSubmit {
			w.ended(r.session, model.EndCodeReplay)
		}
	case r.spoiled, r.declined, !now.Before(r.codeEnds):
	case wrong != "":
		r.spoiled = true
	default:
		switch barred := w.barred(r); {
		case barred == model.UserLocked:
			want = model.UserLocked
		case barred == "" && !w.thrown[r.browser]:
			want = ""
		}
	}
	started, _, err := w.exchange(r.code, func(e *Exchange) {
		e.Client.ID = r.client
		if r.polled {
			poll(e)
		}
		switch wrong {
		case "delivery":
			e.Delivery = map[model.DeliveryKind]model.DeliveryKind{byPoll: model.ByRedirect, model.ByRedirect: byPoll}[e.Delivery]
		case "redirect":
			e.RedirectURI += "/"
		case "verifier":
			e.Verifier = strings.Repeat("v", 43)
		case "client":
			e.Client.ID = "native"
		}
	})
	w.note("request %d is exchanged, wrong %q: %v", slices.Index(w.requests, r), wrong, err)
	w.expect(err, want)
	if err != nil {
		return
	}
	if r.session != "" || started.DeviceID != r.device || started.UserID != w.alice.ID || started.ClientID != r.client {
		w.t.Fatalf("a session of the wrong kind began: %+v", started)
	}
	r.session, r.usedAt = started.ID, now
	maps.DeleteFunc(w.live, func(_ string, b begun) bool { return b.device == r.device }) // SCOPE-9
	w.live[started.ID] = begun{r.device, r.client}
}

// ended is what must follow from the end of a session.
func (w *walk) ended(id string, reason model.EndReason) {
	if one, lives := w.live[id]; lives {
		delete(w.live, id)
		w.withdrawn(one.client, reason)
	}
}

// withdrawn is what must follow for the consents and codes of a client; an empty one is none.
func (w *walk) withdrawn(client string, reason model.EndReason) {
	kept := map[model.EndReason]bool{model.EndReplaced: true, model.EndIdle: true, model.EndReplay: true, model.EndApart: true, model.EndCodeReplay: true, model.EndDeviceMissing: true}
	all := reason == model.EndPassword || reason == model.EndDeactivated
	maps.DeleteFunc(w.consents, func(c string, _ bool) bool { return all || c == client && !kept[reason] })
	for _, r := range w.requests {
		if r.approved && !r.declined && r.session == "" && (all || r.client == client && r.silent && !kept[reason]) {
			r.spoiled = true
		}
	}
}

// withdraw ends a session or all, sets a password, or takes a consent back.
func (w *walk) withdraw() {
	w.t.Helper()
	sessions := w.grants.config.Sessions
	switch w.random.IntN(5) {
	case 0, 1:
		live := w.house.live()
		if len(live) == 0 {
			return
		}
		one, reason := live[w.random.IntN(len(live))], model.EndReasons[w.random.IntN(len(model.EndReasons))]
		w.note("the session of %s ends: %s", one.ClientID, reason)
		w.update(func(tx *store.Tx) error { return sessions.End(tx, model.TheServer(), one, reason) })
		w.ended(one.ID, reason)
	case 2:
		reason := []model.EndReason{model.EndLogoutAll, model.EndByOperator, model.EndDeactivated}[w.random.IntN(3)]
		w.note("all sessions end: %s", reason)
		w.update(func(tx *store.Tx) error {
			_, err := sessions.EndAll(tx, model.TheServer(), w.alice.ID, reason)
			return err
		})
		for id := range maps.Clone(w.live) {
			w.ended(id, reason)
		}
		w.withdrawn("", reason)
		for _, r := range w.requests {
			r.spoiled = r.spoiled || r.approved && !r.declined && r.session == ""
		}
	case 3:
		w.note("a password is set")
		w.update(func(tx *store.Tx) error { return session.Withdraw(tx, w.alice.ID, "", model.EndPassword) })
		w.withdrawn("", model.EndPassword)
	default:
		client := w.anyOf("client", "other")
		w.note("the consent to %s is withdrawn", client)
		w.update(func(tx *store.Tx) error {
			was, err := w.grants.Withdraw(tx, model.TheServer(), w.alice.ID, client)
			if was > 0 != w.consents[client] {
				w.t.Fatalf("there were %d consents", was)
			}
			return err
		})
		delete(w.consents, client)
		for _, r := range w.requests {
			r.spoiled = r.spoiled || r.client == client && r.approved && !r.declined && r.session == ""
		}
	}
}

// changeUser locks, unlocks, deactivates, reactivates, promotes or demotes.
func (w *walk) changeUser() {
	w.t.Helper()
	flip := func(at time.Time) time.Time {
		if at.IsZero() {
			return w.clock.Now()
		}
		return time.Time{}
	}
	switch n := w.random.IntN(6); {
	case n == 0 && w.alice.Admin || w.alice.Deactivated():
		w.alice.DeactivatedAt = flip(w.alice.DeactivatedAt)
	case n == 1 && w.alice.Admin || w.alice.Locked():
		w.alice.LockedAt = flip(w.alice.LockedAt)
	default:
		w.alice.Admin = !w.alice.Admin
	}
	w.update(func(tx *store.Tx) error { return tx.UpdateUser(w.alice) })
	w.note("alice is locked %v, deactivated %v, administrator %v", w.alice.Locked(), w.alice.Deactivated(), w.alice.Admin)
}

// disturb crashes the server, or ends the browser session and begins another.
func (w *walk) disturb() {
	w.t.Helper()
	if w.random.IntN(2) == 0 {
		w.note("crash")
		w.crash()
		return
	}
	reasons := []model.EndReason{model.EndSignedOut, model.EndPassword, model.EndByOperator, model.EndDeactivated, model.EndReplaced}
	reason := reasons[w.random.IntN(len(reasons))]
	w.thrown[w.browser.ID] = reason != model.EndReplaced
	w.browsers++
	next := visitorOf(fmt.Sprintf("browser %d", w.browsers), w.alice.ID, w.clock.Now())
	w.update(func(tx *store.Tx) error {
		if err := tx.EndBrowserSession(w.browser.ID, reason); err != nil {
			return err
		}
		return tx.InsertBrowserSession(next.BrowserSession, model.HashToken(next.Value))
	})
	w.browser = next
	w.note("the browser session ended, %s; another begins", reason)
}

// expect compares an error with the code that the model foresees; empty for none.
func (w *walk) expect(err error, want model.Code) {
	w.t.Helper()
	if err == nil && want == "" || err != nil && model.AsError(err).Code == want {
		return
	}
	w.t.Fatalf("got %v, want %q", err, want)
}

// check compares the live sessions with those that must live.
func (w *walk) check() {
	w.t.Helper()
	got := map[string]begun{}
	for _, s := range w.house.live() {
		got[s.ID] = begun{s.DeviceID, s.ClientID}
	}
	if !maps.Equal(got, w.live) {
		w.t.Fatalf("%v live, want %v", got, w.live)
	}
	remembered := map[string]bool{}
	all, err := w.grants.Consents(w.t.Context(), w.alice.ID)
	w.must(err)
	for _, c := range all {
		remembered[c.ClientID] = true
	}
	if !maps.Equal(remembered, w.consents) {
		w.t.Fatalf("%v remembered, want %v", remembered, w.consents)
	}
}
