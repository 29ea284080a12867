package grant

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

const (
	serverName = "example.test"
	callback   = "https://client.example/cb"
)

// house has a store, a homeserver, and alice, who is signed in.
type house struct {
	t       *testing.T
	file    string
	clock   *testkit.Clock
	store   *store.Store
	fake    *fake.Server
	grants  alone
	alice   model.User
	browser Visitor
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, file: filepath.Join(t.TempDir(), "test.db"), clock: testkit.NewClock()}
	h.fake = fake.Start(t, fake.Config{ServerName: serverName, Secret: "secret"})
	h.open(true)
	t.Cleanup(func() { h.must(h.store.Close()) })
	_, err := h.homeserver().ProvisionUser(t.Context(), homeserver.ProvisionUser{Localpart: "alice"})
	h.must(err)
	h.update(func(tx *store.Tx) error {
		h.alice = model.User{ID: model.NewID(tx.Now), Localpart: "alice", CreatedAt: tx.Now}
		h.browser = visitorOf("browser", h.alice.ID, tx.Now)
		if err := tx.InsertUser(h.alice); err != nil {
			return err
		}
		return tx.InsertBrowserSession(h.browser.BrowserSession, model.HashToken(h.browser.Value))
	})
	return h
}

func visitorOf(id, userID string, now time.Time) Visitor {
	return Visitor{model.BrowserSession{ID: id, UserID: userID, CreatedAt: now, AuthenticatedAt: now}, model.NewBrowserValue()}
}

func (h *house) homeserver() *homeserver.Client {
	return homeserver.New(homeserver.Config{Endpoint: h.fake.URL, Secret: "secret", ServerName: serverName, HTTP: h.fake.HTTP()})
}

// open opens the store and makes everything above it.
func (h *house) open(create bool) {
	h.t.Helper()
	var err error
	h.store, err = store.Open(h.t.Context(), store.Options{Rehearse: true, NoSync: true, Path: h.file, Create: create, Now: h.clock.Now})
	h.must(err)
	registry, err := session.NewRegistry(h.t.Context(), h.store)
	h.must(err)
	native, confidential := webClient, webClient
	native.ID, native.Metadata.ApplicationType = "native", model.NativeApplication
	confidential.ID = "other"
	jobs := outbox.New(h.store)
	h.grants = alone{New(Config{
		Store:   h.store,
		Clients: client.New(client.Config{Store: h.store, Static: map[string]model.Client{"client": webClient, "native": native, "other": confidential}}),
		Sessions: session.New(session.Config{
			Store: h.store, Outbox: jobs, Registry: registry, Homeserver: h.homeserver(), AccessLife: 5 * time.Minute, Logger: slog.New(slog.DiscardHandler),
			Limiter: limit.New(h.clock.Now), Refreshes: limit.Rate{Burst: 60, PerMinute: 60},
		}),
	})}
	h.grants.deliveries = maps.Clone(deliveries)
	h.grants.deliveries[byPoll] = polled{}
	jobs.Configure(outbox.Config{Handlers: h.grants.config.Sessions.Handlers(), Logger: slog.New(slog.DiscardHandler)})
}

// alone has each step of a grant done in a transaction of its own.
type alone struct{ *Grants }

func (g alone) update(ctx context.Context, f func(tx *store.Tx) (Outcome, error)) (o Outcome, err error) {
	err = g.config.Store.Update(ctx, func(tx *store.Tx) error { o, err = f(tx); return err })
	return o, err
}

func (g alone) Approve(ctx context.Context, id string, v Visitor) (Outcome, error) {
	return g.update(ctx, func(tx *store.Tx) (Outcome, error) { return g.Grants.Approve(tx, id, v) })
}

func (g alone) ApproveRemembered(ctx context.Context, id string, v Visitor) (Outcome, error) {
	return g.update(ctx, func(tx *store.Tx) (Outcome, error) { return g.Grants.ApproveRemembered(tx, id, v) })
}

func (g alone) Answered(ctx context.Context, id, value string) (Outcome, error) {
	return g.update(ctx, func(tx *store.Tx) (Outcome, error) { return g.Grants.Answered(tx, id, value) })
}

// Silently approves a request that was not kept before, as for prompt=none.
func (g alone) Silently(ctx context.Context, c model.Client, request model.Request, v Visitor) (code string, err error) {
	o, err := g.update(ctx, func(tx *store.Tx) (Outcome, error) {
		id, err := g.BeginIn(tx, c, request, "")
		if err != nil {
			return Outcome{}, err
		}
		return g.Grants.ApproveRemembered(tx, id, v)
	})
	return o.Code, err
}

func (g alone) Pending(ctx context.Context, id string) (p Pending, err error) {
	err = g.config.Store.View(ctx, func(tx *store.Tx) error { p, err = g.Grants.Pending(tx, id); return err })
	return p, err
}

func (g alone) Review(ctx context.Context, id string, v Visitor) (r Review, err error) {
	err = g.config.Store.View(ctx, func(tx *store.Tx) error { r, err = g.reviewed(tx, id, v); return err })
	return r, err
}

// crash forgets what was in memory only, and starts anew on the same file.
func (h *house) crash() {
	h.t.Helper()
	h.must(h.store.Close())
	h.open(false)
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) update(f func(*store.Tx) error) {
	h.t.Helper()
	h.must(h.store.Update(h.t.Context(), f))
}

func (h *house) client(id string) model.Client {
	h.t.Helper()
	c, err := h.grants.config.Clients.Find(h.t.Context(), id)
	h.must(err)
	return c
}

// begin keeps a request of a client, changed.
func (h *house) begin(clientID string, changes ...func(*Ask)) (id string) {
	h.t.Helper()
	ask := goodAsk()
	for _, change := range changes {
		change(&ask)
	}
	request, err := ParseRequest(h.client(clientID), callback, ask)
	h.must(err)
	id, err = h.grants.Begin(h.t.Context(), h.client(clientID), request, "192.0.2.1")
	h.must(err)
	return id
}

func (h *house) approve(id string) (code string) {
	h.t.Helper()
	o, err := h.grants.Approve(h.t.Context(), id, h.browser)
	h.must(err)
	if o.Code == "" || o.Done {
		h.t.Fatalf("%+v", o)
	}
	return o.Code
}

func (h *house) exchange(code string, changes ...func(*Exchange)) (model.Session, session.Tokens, error) {
	e := Exchange{Delivery: model.ByRedirect, Client: webClient, Code: code, RedirectURI: callback, Verifier: sampleVerifier}
	for _, change := range changes {
		change(&e)
	}
	return h.grants.Exchange(context.Background(), e)
}

func (h *house) wantCode(err error, want model.Code) {
	h.t.Helper()
	if err == nil || model.AsError(err).Code != want {
		h.t.Fatalf("got %v, want %s", err, want)
	}
}

func (h *house) live() []model.Session {
	h.t.Helper()
	var live []model.Session
	h.must(h.store.View(h.t.Context(), func(tx *store.Tx) (err error) {
		live, err = tx.LiveSessions(h.alice.ID)
		return err
	}))
	return live
}

func scope(text string) func(*Ask)  { return func(a *Ask) { a.Scope = text } }
func prompt(text string) func(*Ask) { return func(a *Ask) { a.Prompt = text } }

// spoils are the ways in which an exchange proves too little (TOK-9, TOK-13).
var spoils = map[string]func(*Exchange){
	"another redirect URI":     func(e *Exchange) { e.RedirectURI += "/" },
	"no redirect URI":          func(e *Exchange) { e.RedirectURI = "" },
	"a wrong verifier":         func(e *Exchange) { e.Verifier = strings.Repeat("a", 43) },
	"no verifier":              func(e *Exchange) { e.Verifier = "" },
	"another client, by theft": func(e *Exchange) { e.Client.ID = "other" },
}

func TestExchange(t *testing.T) {
	t.Run("a code begins a session on the device that was asked for", func(t *testing.T) {
		h := newHouse(t)
		begun, tokens, err := h.exchange(h.approve(h.begin("client")))
		h.must(err)
		if begun.DeviceID != "PHONE" || begun.ClientID != "client" || begun.Kind != model.OAuthSession || begun.BrowserSessionID != "browser" ||
			tokens.Scope != goodAsk().Scope || !strings.HasPrefix(tokens.Access, "mat_") || !strings.HasPrefix(tokens.Refresh, "mar_") {
			t.Errorf("%+v %+v", begun, tokens)
		}
		u, _ := h.fake.User("alice")
		if name := u.Devices["PHONE"]; name == nil || *name != "Client" { // TOK-20
			t.Errorf("at the homeserver: %+v", u)
		}
	})
	t.Run("a session for administration has no device", func(t *testing.T) {
		h := newHouse(t)
		h.alice.Admin = true
		h.update(func(tx *store.Tx) error { return tx.UpdateUser(h.alice) })
		for range 2 {
			begun, _, err := h.exchange(h.approve(h.begin("client", scope(api+" "+admin))))
			h.must(err)
			if begun.DeviceID != "" {
				t.Errorf("%+v", begun)
			}
		}
		if u, _ := h.fake.User("alice"); len(u.Devices) != 0 || len(h.live()) != 2 {
			t.Errorf("at the homeserver: %+v; sessions %v", u, h.live())
		}
	})
	for name, spoil := range spoils {
		t.Run(name+" spoils a code that was not used", func(t *testing.T) {
			h := newHouse(t)
			code := h.approve(h.begin("client"))
			_, _, err := h.exchange(code, spoil)
			h.wantCode(err, model.InvalidGrant)
			_, _, err = h.exchange(code)
			h.wantCode(err, model.InvalidGrant)
			if len(h.live()) != 0 {
				t.Error("a session began all the same")
			}
		})
	}
	t.Run("a code lives for five minutes", func(t *testing.T) { // AUTHZ-14
		h := newHouse(t)
		code := h.approve(h.begin("client"))
		h.clock.Move(bound.CodeLife)
		_, _, err := h.exchange(code)
		h.wantCode(err, model.InvalidGrant)
	})
	t.Run("an unknown code", func(t *testing.T) {
		h := newHouse(t)
		for _, code := range []string{"", "x", model.AnswerCode(model.NewBrowserValue(), "request")} {
			_, _, err := h.exchange(code)
			h.wantCode(err, model.InvalidGrant)
		}
	})
	t.Run("homeserver down: the code works when it is back", func(t *testing.T) { // TOK-15, S4
		h := newHouse(t)
		code := h.approve(h.begin("client"))
		h.fake.Stop()
		_, _, err := h.exchange(code)
		h.wantCode(err, model.TemporarilyDown)
		h.fake.Resume()
		_, _, err = h.exchange(code)
		h.must(err)
	})
	t.Run("locked and deactivated meanwhile", func(t *testing.T) { // AUTHZ-30
		h := newHouse(t)
		code := h.approve(h.begin("client"))
		h.alice.LockedAt = h.clock.Now()
		h.update(func(tx *store.Tx) error { return tx.UpdateUser(h.alice) })
		_, _, err := h.exchange(code)
		h.wantCode(err, model.UserLocked)
		h.alice.LockedAt, h.alice.DeactivatedAt = time.Time{}, h.clock.Now()
		h.update(func(tx *store.Tx) error { return tx.UpdateUser(h.alice) })
		_, _, err = h.exchange(code)
		h.wantCode(err, model.InvalidGrant)
	})
	t.Run("no administrator any more", func(t *testing.T) { // SCOPE-13
		h := newHouse(t)
		h.alice.Admin = true
		h.update(func(tx *store.Tx) error { return tx.UpdateUser(h.alice) })
		code := h.approve(h.begin("client", scope(api+" "+admin+" "+device+"PHONE")))
		h.alice.Admin = false
		h.update(func(tx *store.Tx) error { return tx.UpdateUser(h.alice) })
		_, _, err := h.exchange(code)
		h.wantCode(err, model.InvalidGrant)
	})
}

// TestCodeReplay is S7 and TOK-12.
func TestCodeReplay(t *testing.T) {
	t.Run("in parallel one succeeds", func(t *testing.T) {
		h := newHouse(t)
		for range 20 {
			code := h.approve(h.begin("client"))
			const many = 4
			errs := make(chan error, many)
			for range many {
				go func() {
					_, _, err := h.exchange(code)
					errs <- err
				}()
			}
			succeeded := 0
			for range many {
				switch err := <-errs; {
				case err == nil:
					succeeded++
				case model.AsError(err).Code != model.InvalidGrant:
					t.Error(err)
				}
			}
			if succeeded != 1 || len(h.live()) != 1 {
				t.Fatalf("%d exchanges succeeded, %d sessions live", succeeded, len(h.live()))
			}
			h.clock.Move(time.Second)
		}
	})
	// Who found a code in a history or a log has not shown more than that, and signs nobody out.
	for name, spoil := range spoils {
		t.Run("with "+name+" it harms nothing", func(t *testing.T) {
			h := newHouse(t)
			code := h.approve(h.begin("client"))
			_, _, err := h.exchange(code)
			h.must(err)
			for _, after := range []time.Duration{0, bound.DoubleSubmit, bound.KeepAnswered - bound.DoubleSubmit} {
				h.clock.Move(after)
				_, _, err = h.exchange(code, spoil)
				h.wantCode(err, model.InvalidGrant)
				if len(h.live()) != 1 {
					t.Fatalf("%d sessions live", len(h.live()))
				}
			}
		})
	}
	for name, c := range map[string]struct {
		after time.Duration
		lives int
	}{"at once the session lives on": {0, 1}, "later the session ends": {bound.DoubleSubmit, 0}, "a day later too": {bound.KeepAnswered, 0}} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			code := h.approve(h.begin("client"))
			_, _, err := h.exchange(code)
			h.must(err)
			h.clock.Move(c.after)
			_, _, err = h.exchange(code)
			h.wantCode(err, model.InvalidGrant)
			if len(h.live()) != c.lives {
				t.Errorf("%d sessions live", len(h.live()))
			}
		})
	}
}

func TestReview(t *testing.T) {
	remembered := func(h *house, id string) bool {
		h.t.Helper()
		r, err := h.grants.Review(h.t.Context(), id, h.browser)
		h.must(err)
		return r.Remembered
	}
	t.Run("consent to a web client is remembered for other devices", func(t *testing.T) { // AUTHZ-18, AMB-19
		h := newHouse(t)
		if remembered(h, h.begin("client")) {
			t.Error("nobody consented")
		}
		h.approve(h.begin("client"))
		if !remembered(h, h.begin("client", scope(apiOld+" "+deviceOld+"LAPTOP"))) {
			t.Error("the same was asked again")
		}
		if remembered(h, h.begin("other")) {
			t.Error("a consent counts for another client")
		}
	})
	t.Run("a native client asks each time", func(t *testing.T) {
		h := newHouse(t)
		h.approve(h.begin("native"))
		if remembered(h, h.begin("native")) {
			t.Error("any app could take its place")
		}
	})
	for _, p := range []string{"consent", "select_account", "create"} {
		t.Run("prompt="+p+" asks again", func(t *testing.T) { // OIDC-12
			h := newHouse(t)
			h.approve(h.begin("client"))
			if remembered(h, h.begin("client", prompt(p))) {
				t.Error("not asked")
			}
		})
	}
	t.Run("administration is asked each time", func(t *testing.T) { // SCOPE-13, SCOPE-15
		h := newHouse(t)
		h.alice.Admin = true
		h.update(func(tx *store.Tx) error { return tx.UpdateUser(h.alice) })
		h.approve(h.begin("client"))
		wider := scope(api + " " + admin + " " + device + "PHONE")
		if remembered(h, h.begin("client", wider)) {
			t.Error("a consent to less counts for more")
		}
		h.approve(h.begin("client", wider))
		if remembered(h, h.begin("client", wider)) {
			t.Error("not asked")
		}
	})
	t.Run("administration is not for everybody", func(t *testing.T) {
		h := newHouse(t)
		id := h.begin("client", scope(api+" "+admin))
		_, err := h.grants.Review(t.Context(), id, h.browser)
		h.wantCode(err, model.AccessDenied)
		_, err = h.grants.Approve(t.Context(), id, h.browser)
		h.wantCode(err, model.AccessDenied)
	})
	t.Run("another client's device is shown to be replaced", func(t *testing.T) { // SCOPE-11
		h := newHouse(t)
		h.approve(h.begin("other"))
		_, _, err := h.exchange(h.approve(h.begin("client")))
		h.must(err)
		r, err := h.grants.Review(t.Context(), h.begin("other"), h.browser)
		h.must(err)
		if !r.Replaces || r.Remembered {
			t.Errorf("%+v", r)
		}
		if r, err = h.grants.Review(t.Context(), h.begin("client"), h.browser); err != nil || r.Replaces {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("what changed since is asked about", func(t *testing.T) { // AUTHZ-18, SCOPE-11
		h := newHouse(t)
		h.approve(h.begin("other"))
		id := h.begin("other")
		if !remembered(h, id) {
			t.Fatal("the same was asked again")
		}
		_, _, err := h.exchange(h.approve(h.begin("client")))
		h.must(err)
		o, err := h.grants.ApproveRemembered(t.Context(), id, h.browser)
		h.wantCode(err, model.ConsentRequired)
		if o.Code != "" {
			t.Error("there is a code all the same")
		}
		h.approve(id)
	})
	for name, c := range map[string]struct {
		change func(*Ask)
		age    time.Duration
		want   bool
	}{
		"no demand":                  {func(*Ask) {}, 48 * time.Hour, false},
		"prompt=login":               {prompt("login"), time.Second, true}, // OIDC-11
		"max_age=0":                  {func(a *Ask) { a.MaxAge = "0" }, time.Second, true},
		"max_age=60 within a minute": {func(a *Ask) { a.MaxAge = "60" }, time.Minute, false},
		"max_age=60 after a minute":  {func(a *Ask) { a.MaxAge = "60" }, time.Minute + time.Second, true}, // OIDC-13
		// SCOPE-13
		"administration within minutes": {scope(api + " " + admin), bound.ProofLife, false},
		"administration later":          {scope(api + " " + admin), bound.ProofLife + time.Second, true},
		"administration and a max_age":  {func(a *Ask) { a.Scope, a.MaxAge = api+" "+admin, "86400" }, bound.ProofLife + time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.alice.Admin = true
			h.update(func(tx *store.Tx) error { return tx.UpdateUser(h.alice) })
			h.clock.Move(c.age)
			id := h.begin("client", c.change)
			_, err := h.grants.Approve(t.Context(), id, h.browser)
			if !c.want {
				h.must(err)
				return
			}
			h.wantCode(err, model.LoginRequired)
			h.clock.Move(time.Second)
			h.browser.AuthenticatedAt = h.clock.Now()
			h.approve(id)
		})
	}
}

// stranger is another browser, in which the same user is signed in.
func (h *house) stranger() Visitor {
	h.t.Helper()
	v := visitorOf("another", h.alice.ID, h.clock.Now())
	h.update(func(tx *store.Tx) error { return tx.InsertBrowserSession(v.BrowserSession, model.HashToken(v.Value)) })
	return v
}

func TestAnsweredOnce(t *testing.T) {
	for name, second := range map[string]func(h *house, id string) error{
		"approve": func(h *house, id string) error {
			_, err := h.grants.Approve(h.t.Context(), id, h.stranger())
			return err
		},
		"decline": func(h *house, id string) error {
			_, err := h.grants.Decline(h.t.Context(), id, h.stranger().Value)
			return err
		},
		"decline, without a cookie": func(h *house, id string) error {
			_, err := h.grants.Decline(h.t.Context(), id, "")
			return err
		},
		"ask about": func(h *house, id string) error {
			_, err := h.grants.Answered(h.t.Context(), id, h.stranger().Value)
			return err
		},
		"look at": func(h *house, id string) error { _, err := h.grants.Pending(h.t.Context(), id); return err },
	} {
		t.Run(name+" after an approval in another browser", func(t *testing.T) {
			h := newHouse(t)
			id := h.begin("client")
			code := h.approve(id)
			h.wantCode(second(h, id), model.RequestExpired)
			_, _, err := h.exchange(code)
			h.must(err)
		})
		t.Run(name+" after a refusal in another browser", func(t *testing.T) {
			h := newHouse(t)
			id := h.begin("client")
			_, err := h.grants.Decline(t.Context(), id, h.browser.Value)
			h.must(err)
			h.wantCode(second(h, id), model.RequestExpired)
		})
		t.Run(name+" after an hour", func(t *testing.T) { // AUTHZ-23
			h := newHouse(t)
			id := h.begin("client")
			h.clock.Move(bound.RequestLife)
			h.wantCode(second(h, id), model.RequestExpired)
		})
	}
	t.Run("approved in two browsers at once", func(t *testing.T) {
		h := newHouse(t)
		id := h.begin("client")
		visitors := []Visitor{h.browser, h.stranger()}
		errs := make(chan error, 8)
		for i := range cap(errs) {
			go func() { _, err := h.grants.Approve(context.Background(), id, visitors[i%2]); errs <- err }()
		}
		codes := 0
		for range cap(errs) {
			if err := <-errs; err == nil {
				codes++
			} else if model.AsError(err).Code != model.RequestExpired {
				t.Error(err)
			}
		}
		if codes != cap(errs)/2 {
			t.Errorf("%d codes", codes)
		}
	})
	t.Run("several requests at once have nothing to do with each other", func(t *testing.T) { // SESS-7
		h := newHouse(t)
		var ids []string
		for i := range 5 {
			ids = append(ids, h.begin("client", scope(fmt.Sprintf("%s %sTAB%d", api, device, i))))
		}
		for i := len(ids) - 1; i >= 0; i-- {
			begun, _, err := h.exchange(h.approve(ids[i]))
			h.must(err)
			if begun.DeviceID != fmt.Sprintf("TAB%d", i) {
				t.Errorf("%d: %+v", i, begun)
			}
		}
	})
}

// TestAnsweredAgain: a browser whose answer was lost, or was given twice, is told the same again.
func TestAnsweredAgain(t *testing.T) {
	approve := func(h *house, id string) Outcome {
		h.t.Helper()
		o, err := h.grants.Approve(h.t.Context(), id, h.browser)
		h.must(err)
		return o
	}
	decline := func(h *house, id string) Outcome {
		h.t.Helper()
		o, err := h.grants.Decline(h.t.Context(), id, h.browser.Value)
		h.must(err)
		return o
	}
	asked := func(h *house, id string) Outcome {
		h.t.Helper()
		o, err := h.grants.Answered(h.t.Context(), id, h.browser.Value)
		h.must(err)
		return o
	}
	t.Run("the same code until it is exchanged, and then that it is done", func(t *testing.T) {
		h := newHouse(t)
		id := h.begin("client")
		code := h.approve(id)
		h.clock.Move(bound.CodeLife - time.Second)
		if o := approve(h, id); o.Code != code || o.Delivery.Redirect.RedirectURI != callback || o.Client.ID != "client" {
			t.Errorf("%+v", o)
		}
		if o := asked(h, id); o.Code != code {
			t.Errorf("%+v", o)
		}
		_, _, err := h.exchange(code)
		h.must(err)
		for _, o := range []Outcome{approve(h, id), decline(h, id), asked(h, id)} {
			if o.Code != "" || !o.Done || o.Client.ID != "client" {
				t.Errorf("%+v", o)
			}
		}
		if len(h.live()) != 1 {
			t.Error("a late no ended the session")
		}
	})
	t.Run("not longer than the code lives", func(t *testing.T) {
		h := newHouse(t)
		id := h.begin("client")
		h.approve(id)
		h.clock.Move(bound.CodeLife)
		_, err := h.grants.Approve(t.Context(), id, h.browser)
		h.wantCode(err, model.RequestExpired)
	})
	t.Run("not a code that was spoiled", func(t *testing.T) {
		h := newHouse(t)
		id := h.begin("client")
		_, _, err := h.exchange(h.approve(id), func(e *Exchange) { e.Verifier = "" })
		h.wantCode(err, model.InvalidGrant)
		_, err = h.grants.Approve(t.Context(), id, h.browser)
		h.wantCode(err, model.RequestExpired)
	})
	t.Run("a refusal twice, and nothing else after it", func(t *testing.T) {
		h := newHouse(t)
		id := h.begin("client")
		for _, o := range []Outcome{decline(h, id), decline(h, id), approve(h, id), asked(h, id)} {
			if o.Code != "" || o.Done || o.Delivery.Redirect.RedirectURI != callback {
				t.Errorf("%+v", o)
			}
		}
		_, _, err := h.exchange(model.AnswerCode(h.browser.Value, id))
		h.wantCode(err, model.InvalidGrant)
	})
	t.Run("a refusal after an approval counts, and the consent is forgotten", func(t *testing.T) {
		h := newHouse(t)
		id := h.begin("client")
		code := h.approve(id)
		for range 2 {
			if o := decline(h, id); o.Code != "" || o.Done {
				t.Errorf("%+v", o)
			}
		}
		_, _, err := h.exchange(code)
		h.wantCode(err, model.InvalidGrant)
		if r, err := h.grants.Review(t.Context(), h.begin("client"), h.browser); err != nil || r.Remembered {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("a browser that signed in anew is another one", func(t *testing.T) {
		h := newHouse(t)
		id := h.begin("client")
		h.approve(id)
		h.browser.Value = model.NewBrowserValue()
		_, err := h.grants.Approve(t.Context(), id, h.browser)
		h.wantCode(err, model.RequestExpired)
	})
}
