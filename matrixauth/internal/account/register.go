package account

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

const (
	// registrationParam names the registration in addresses, beside the goal.
	registrationParam = "registration"
	// tokenParam is a registration token in the address of an invitation. It stands in no other.
	tokenParam = "token"
)

// registerStep is how a step of a registration is shown and answered. Each has a file of its own.
type registerStep struct {
	registration.Step
	name string
	// show returns the page.
	show func(d *Door, at registerVisit) page.Page
	// answer takes what was sent; nil for the step that makes the account.
	answer func(d *Door, at registerVisit) (registration.Progress, error)
}

// registerSteps are the steps that have a page.
var registerSteps = []registerStep{invitationStep, nameStep, emailStep, codeStep, passwordStep, termsStep, profileStep}

// registerVisit is somebody at a page of a registration.
type registerVisit struct {
	r       *http.Request
	visitor registration.Visitor
	goal    signin.Goal
	// id is that of the registration, and progress how far it is; both are empty at the beginning.
	id       string
	progress registration.Progress
	// asked is what a client asked for; nil for who comes without one, or whose request is over.
	asked *model.Asked
	// form is what was sent; nil for who opens the page. problem is why it was refused.
	form    map[string]string
	problem error
	// page is what all pages have.
	page page.Register
}

// registerRoutes are the routes of the pages.
func registerRoutes() []web.Route[*Door] {
	routes := []web.Route[*Door]{{Endpoint: endpoint("register", page.RegisterPath), Get: (*Door).Register}, {Endpoint: endpoint("register_waiting", page.RegisterWaitingPath), Get: (*Door).RegistrationWaiting}}
	for _, s := range registerSteps {
		post := func(d *Door, w http.ResponseWriter, r *http.Request) error { return d.answerStep(w, r, s) }
		if s.answer == nil {
			post = (*Door).CompleteRegistration
		}
		routes = append(routes, web.Route[*Door]{
			Endpoint: endpoint("register_"+s.name, s.Path()),
			Get:      func(d *Door, w http.ResponseWriter, r *http.Request) error { return d.showStep(w, r, s) },
			Post:     post,
		})
	}
	return routes
}

// Register answers GET account/register: the first page of a registration. Nothing is kept until somebody sends a form.
func (d *Door) Register(w http.ResponseWriter, r *http.Request) error {
	first := d.Registrations.First()
	if r.URL.Query().Has(tokenParam) {
		first = registration.Invitation{}
	}
	for _, s := range registerSteps {
		if s.Step == first {
			return d.showStep(w, r, s)
		}
	}
	return model.NewError(model.NotRecognized)
}

// visit reads who is at a page of a registration. Where nobody can register it leads to the sign-in (CREATE-1); where the
// registration is not this browser's it says so. Then ok is false, and err is what the handler returns.
func (d *Door) visit(w http.ResponseWriter, r *http.Request) (at registerVisit, ok bool, err error) {
	query := r.URL.Query()
	at = registerVisit{r: r, goal: signin.ReadGoal(query.Get), id: query.Get(registrationParam)}
	if !d.Registrations.On() {
		return at, false, d.lead(w, at.goal, signin.Password{})
	}
	step, err := d.SignIns.Step(r.Context(), at.goal, d.browser(r))
	if errors.Is(err, model.RequestExpired) {
		// What was typed is worth an account all the same.
		at.goal = signin.AccountPage{}
		step, err = d.SignIns.Step(r.Context(), at.goal, d.browser(r))
	}
	if err != nil {
		return at, false, err
	}
	at.page.Goal = d.pageGoal(r, at.goal, step)
	if pending := step.At().Pending; pending != nil {
		at.asked = &pending.Asked
		if err := d.SignIns.Shown(r.Context(), step); err != nil {
			return at, false, err
		}
	}
	if who := step.At().User; who.ID != "" {
		at.page.SignedIn = model.MatrixID(who.Localpart, d.ServerName)
	}
	at.visitor = registration.Visitor{Value: d.Cookie.Value(r), Source: web.SourceOf(r), Language: d.Pages.Language(r, at.page.UILocales)}
	if at.id == "" {
		return at, true, nil
	}
	at.progress, err = d.Registrations.Find(r.Context(), at.visitor, at.id)
	if errors.Is(err, model.RegistrationOver) {
		if !step.At().Nobody() {
			// Most likely they come back to a page from before the account was made.
			return at, false, d.lead(w, at.goal, step)
		}
		return at, false, d.registrationOver(w, at, err)
	}
	at.page.Registration = at.id
	return at, err == nil, err
}

// pageGoal returns a goal as pages have it.
func (d *Door) pageGoal(r *http.Request, goal signin.Goal, step signin.Step) (shown page.Goal) {
	shown = goalOf(goal)
	if pending := step.At().Pending; pending != nil {
		shown.UILocales = pending.Asked.UILocales
		shown.Client = pending.Client.Name(d.Pages.Language(r, pending.Asked.UILocales))
	}
	return shown
}

// registrationOver says that a registration cannot go on.
func (d *Door) registrationOver(w http.ResponseWriter, at registerVisit, err error) error {
	return d.refuse(w, at.r, page.RegisterOver{Goal: at.page.Goal}, err)
}

// leadOn leads to the step that is next in a registration.
func (d *Door) leadOn(w http.ResponseWriter, at registerVisit) error {
	path := d.Registrations.Next(at.progress).Path()
	if at.progress.State != model.RegistrationOpen {
		path = registration.Waiting
	}
	query := at.goal.Query()
	query.Set(registrationParam, at.progress.ID)
	return d.seeOther(w, path, query)
}

// showStep answers GET of the page of a step: the page, if its step may be answered, or the way to the one that is next. So
// a reload, another tab and the way back all show what there is to do.
func (d *Door) showStep(w http.ResponseWriter, r *http.Request, s registerStep) error {
	at, ok, err := d.visit(w, r)
	if !ok {
		return err
	}
	switch {
	case at.id == "" && s.Step != d.Registrations.First() && s.Step != (registration.Invitation{}):
		return d.seeOther(w, page.RegisterPath, at.goal.Query())
	case at.id != "" && (at.progress.State != model.RegistrationOpen || !d.Registrations.MayAnswer(at.progress, s.Step)):
		return d.leadOn(w, at)
	}
	if r.URL.Query().Has(staleParam) {
		at.page.Problem = model.CrossOrigin
	}
	return d.renderStep(w, at, s, http.StatusOK)
}

func (d *Door) renderStep(w http.ResponseWriter, at registerVisit, s registerStep, status int) error {
	at.page.Number, at.page.Of = d.Registrations.Number(s.Step)
	if at.page.Number == 0 {
		at.page.Of = 0
	}
	return d.Pages.Render(w, at.r, status, s.show(d, at))
}

// readStep reads a form of a registration. If it is not of this browser any more, most likely because somebody signed in in
// another tab, it leads to the page again. Then ok is false, and err is what the handler returns.
func (d *Door) readStep(w http.ResponseWriter, r *http.Request) (at registerVisit, ok bool, err error) {
	form, err := d.Cookie.ReadForm(w, r)
	if errors.Is(err, model.CrossOrigin) && d.Cookie.SameOrigin(r) {
		query := signin.ReadGoal(r.URL.Query().Get).Query()
		if id := r.URL.Query().Get(registrationParam); model.IsRegistrationID(id) {
			query.Set(registrationParam, id)
		}
		query.Set(staleParam, "1")
		w.Header().Set("Location", (&url.URL{Path: r.URL.Path, RawQuery: query.Encode()}).String())
		w.WriteHeader(http.StatusSeeOther)
		return at, false, nil
	}
	if err != nil {
		return at, false, err
	}
	at, ok, err = d.visit(w, r)
	at.form = form
	return at, ok, err
}

// answerStep answers POST of the page of a step: it takes the answer and leads on, or shows the page with what is wrong.
func (d *Door) answerStep(w http.ResponseWriter, r *http.Request, s registerStep) error {
	at, ok, err := d.readStep(w, r)
	if !ok {
		return err
	}
	progress, err := s.answer(d, at)
	if err != nil {
		return d.refuseStep(w, at, s, err)
	}
	at.progress = progress
	return d.leadOn(w, at)
}

// shownAtStep are the errors that the person can do something about on the page of a step.
var shownAtStep = map[model.Code]bool{
	model.InvalidUsername: true, model.UserUnavailable: true, model.InvalidPassword: true, model.InvalidParam: true, model.EmailNotAllowed: true, model.MissingParam: true,
	model.InvitationRefused: true, model.RateLimited: true, model.TemporarilyDown: true,
	model.InvalidEmail: true, model.CodeWrong: true, model.CodeOver: true, model.EmailInUse: true,
}

// refuseStep shows the page of a step with what is wrong, or leads to the step that is to be done in its place.
func (d *Door) refuseStep(w http.ResponseWriter, at registerVisit, s registerStep, err error) error {
	e := model.AsError(err)
	switch {
	case e.Code == model.RegistrationOver && at.id == "":
		return d.seeOther(w, page.RegisterPath, at.goal.Query())
	case e.Code == model.RegistrationOver:
		progress, gone := d.Registrations.Find(at.r.Context(), at.visitor, at.id)
		if gone != nil {
			return d.registrationOver(w, at, err)
		}
		at.progress = progress
		return d.leadOn(w, at)
	case !shownAtStep[e.Code]:
		return err
	}
	at.problem, at.page.Problem, at.page.Retry = err, e.Code, web.SetRetryAfter(w.Header(), web.PageWire, e)
	if failed := d.renderStep(w, at, s, web.StatusOf(web.PageWire, err)); failed != nil {
		return failed
	}
	return err // the answer is written; the log says what it was
}

// CompleteRegistration answers POST of the last page: the account is made, the browser is signed in, and goes on to where it
// wanted to be.
func (d *Door) CompleteRegistration(w http.ResponseWriter, r *http.Request) error {
	at, ok, err := d.readStep(w, r)
	if !ok {
		return err
	}
	result, err := d.Registrations.Complete(r.Context(), at.visitor, at.id, at.form["display_name"])
	if err != nil {
		// What kept the account from being made may have undone an answer, of which the page of its step tells.
		if progress, gone := d.Registrations.Find(r.Context(), at.visitor, at.id); gone == nil && d.Registrations.Next(progress) != profileStep.Step {
			at.progress = progress
			return d.leadOn(w, at)
		}
		return d.refuseStep(w, at, profileStep, err)
	}
	if result.State != model.RegistrationDone {
		at.progress = result.Progress
		return d.leadOn(w, at)
	}
	web.SetUser(r.Context(), result.Proof.User.ID, result.Proof.User.Localpart)
	start, err := d.Browsers.StartOnce(r.Context(), browser.Start{
		Proof: result.Proof, Value: model.NewBrowserValue(), Replaced: at.visitor.Value, Device: model.NewBrowserValue(), Source: at.visitor.Source,
		Language: at.visitor.Language, Agent: browserOf(at.visitor.Source.UserAgent),
	})
	if err != nil {
		return err
	}
	d.Cookie.Set(w, start.Value)
	d.Devices.Put(w, r, start.Device)
	next, err := d.SignIns.Step(r.Context(), at.goal, signin.Browser{Value: start.Value, Source: start.Source})
	if err != nil {
		return err
	}
	return d.lead(w, at.goal, next)
}
