package caddymodule

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// parseDirective reads the directive:
//
//	matrix_auth [<server_name> <issuer>] {
//		issuer                <address>
//		matrix {
//			kind              synapse|synapse_read_only
//			homeserver        <server_name>
//			endpoint          <address>
//			secret            <secret>
//			secret_file       <path>
//		}
//		database              <path>
//		internal_listen       <address>... | off
//		access_token_lifetime <duration>
//		login_limit {
//			network           <burst> <per_minute>
//			account           <burst> <per_minute>
//		}
//		registration_limit    <burst> <per_minute>
//		refresh_limit         <burst> <per_minute>
//		allow_http_clients
//		client <id> {
//			secret            <secret>
//			secret_file       <path>
//			redirect_uri      <uri>...
//			name              <text>
//			uri               <address>
//			auth_method       none|client_secret_basic|client_secret_post
//			application_type  web|native
//		}
//		branding {
//			name              <text>
//			logo              <file>
//			accent            <rrggbb>
//			terms             <address>
//			privacy           <address>
//			imprint           <address>
//			help              <address>
//		}
//		templates             <folder>
//	}
//
// Without anything it joins the instance of another site.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler, err := parseHandler(h)
	if err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

func parseHandler(h httpcaddyfile.Helper) (*Handler, error) {
	p := parser{d: h.Dispenser, places: map[string]caddyfile.Token{}}
	p.matcher()
	matcher := len(p.errs)
	p.directive()
	if p.settings.empty() && len(p.errs) == matcher && len(p.places) == 0 {
		noteBare(h.State, p.start)
		return &Handler{}, errors.Join(p.errs...)
	}
	p.judge()
	p.compare(h.State)
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	return &Handler{Settings: p.settings}, nil
}

// parser reads one directive and collects everything that is wrong with it.
type parser struct {
	d        *caddyfile.Dispenser
	start    caddyfile.Token
	settings Settings
	// places remembers where each option stands.
	places map[string]caddyfile.Token
	errs   []error
}

// at adds a problem with the place of a token.
func (p *parser) at(t caddyfile.Token, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s, at %s:%d", fmt.Sprintf(format, args...), t.File, t.Line))
}

// take notes where an option stands. It reports false, with a problem, if it stands there already.
func (p *parser) take(option string) bool {
	t := p.d.Token()
	if first, twice := p.places[option]; twice {
		p.at(t, "%s is there twice, first in line %d", option, first.Line)
		return false
	}
	p.places[option] = t
	return true
}

// value reads the one argument of an option.
func (p *parser) value(option string, into *string) {
	fresh, t := p.take(option), p.d.Token()
	args := p.args(option)
	if !fresh {
		return
	}
	if len(args) != 1 {
		p.at(t, "%s takes one value, not %d", option, len(args))
		return
	}
	if args[0] == "" {
		p.at(t, "%s is empty", option)
	}
	*into = args[0]
}

// matcher refuses a matcher, but for the one that matches all. What it leaves out would pass us by, and
// with it the guard of the homeserver's API for us, whose paths a later handler can make of any other.
func (p *parser) matcher() {
	p.d.Next()
	if p.d.NextArg() {
		t := p.d.Token()
		switch {
		case t.Text == "*":
			p.d.Delete()
		case strings.HasPrefix(t.Text, "/"), strings.HasPrefix(t.Text, "@"):
			p.at(t, "matrix_auth takes no matcher, as what it leaves out would reach the homeserver unguarded; requests that are not its own pass it anyway")
			p.d.Delete()
		}
	}
	p.d.Reset()
}

func (p *parser) directive() {
	p.d.Next()
	p.start = p.d.Token()
	switch args := p.d.RemainingArgs(); len(args) {
	case 0:
	case 2:
		p.settings.Matrix.Homeserver, p.settings.Issuer = args[0], args[1]
		p.places["homeserver"], p.places["issuer"] = p.start, p.start
	case 1:
		p.settings.Matrix.Homeserver = args[0]
		p.at(p.start, "matrix_auth takes a server name and an issuer, such as: matrix_auth example.com https://matrix.example.com")
	default:
		p.settings.Matrix.Homeserver, p.settings.Issuer = args[0], args[1]
		p.at(p.start, "matrix_auth takes a server name and an issuer and nothing behind them")
	}
	for nesting := p.d.Nesting(); p.d.NextBlock(nesting); {
		p.option(nesting + 1)
	}
}

func (p *parser) option(nesting int) {
	s := &p.settings
	switch name := p.d.Val(); name {
	case "issuer":
		p.value(name, &s.Issuer)
	case "matrix":
		p.block(name, nesting, p.matrixOption)
	case "database":
		p.value(name, &s.Database)
	case "internal_listen":
		p.listen(name)
	case "access_token_lifetime":
		p.duration(name, &s.AccessTokenLifetime)
	case "login_limit":
		p.block(name, nesting, p.limitOption)
	case "registration_limit":
		p.rate(name, &s.RegistrationLimit)
	case "refresh_limit":
		p.rate(name, &s.RefreshLimit)
	case "client":
		p.client(nesting)
	case "allow_http_clients":
		p.flag(name, &s.AllowHTTPClients)
	case "branding":
		p.block(name, nesting, p.brandingOption)
	case "templates":
		p.value(name, &s.Templates)
	default:
		p.unknown("matrix_auth", "issuer, matrix, database, internal_listen, access_token_lifetime, login_limit, registration_limit, refresh_limit, client, allow_http_clients, branding and templates")
	}
}

func (p *parser) listen(option string) {
	fresh := p.take(option)
	args := p.args(option)
	if !fresh {
		return
	}
	if len(args) == 0 {
		p.at(p.places[option], "internal_listen takes addresses, or off")
	}
	p.settings.InternalListen = args
}

func (p *parser) matrixOption() {
	m := &p.settings.Matrix
	switch name := p.d.Val(); name {
	case "kind":
		p.value(name, &m.Kind)
	case "homeserver":
		p.value(name, &m.Homeserver)
	case "endpoint":
		p.value(name, &m.Endpoint)
	case "secret":
		p.value(name, &m.Secret)
	case "secret_file", "secret_path": // documents know both names
		p.value("secret_file", &m.SecretFile)
	default:
		p.unknown("matrix", "kind, homeserver, endpoint, secret and secret_file")
	}
}

func (p *parser) brandingOption() {
	b := &p.settings.Branding
	switch name := p.d.Val(); name {
	case "name":
		p.value("branding name", &b.Name)
	case "logo":
		p.value("branding logo", &b.Logo)
	case "accent":
		p.accent("branding accent", &b.Accent)
	case "terms":
		p.value("branding terms", &b.Terms)
	case "privacy":
		p.value("branding privacy", &b.Privacy)
	case "imprint":
		p.value("branding imprint", &b.Imprint)
	case "help":
		p.value("branding help", &b.Help)
	default:
		p.unknown("branding", "name, logo, accent, terms, privacy, imprint and help")
	}
}

// accent reads a colour. Whoever writes it as stylesheets do has begun a comment.
func (p *parser) accent(option string, into *string) {
	if p.d.CountRemainingArgs() == 0 && p.take(option) {
		p.at(p.d.Token(), "%s takes a colour such as %s; an unquoted # begins a comment", option, matrixauth.DefaultAccent)
		return
	}
	p.value(option, into)
}

func (p *parser) limitOption() {
	l := &p.settings.LoginLimit
	switch name := p.d.Val(); name {
	case "network":
		p.rate("login_limit network", &l.Network)
	case "account":
		p.rate("login_limit account", &l.Account)
	default:
		p.unknown("login_limit", "network and account")
	}
}

func (p *parser) unknown(where, known string) {
	name, _, _ := strings.Cut(p.d.Val(), "=") // behind it may stand a secret
	p.at(p.d.Token(), "%s does not know the option %q; it knows %s", where, name, known)
	p.d.RemainingArgs()
	p.skipBlock()
}

// args reads the values of an option that has no block.
func (p *parser) args(option string) []string {
	t := p.d.Token()
	args := p.d.RemainingArgs()
	if p.skipBlock() {
		p.at(t, "%s takes no block", option)
	}
	return args
}

// skipBlock skips a block, and reports whether there was anything in it.
func (p *parser) skipBlock() (skipped bool) {
	for nesting := p.d.Nesting(); p.d.NextBlock(nesting); skipped = true {
		p.d.RemainingArgs()
	}
	return skipped
}

// block reads a block of options.
func (p *parser) block(name string, nesting int, option func()) {
	fresh := p.take(name)
	if args := p.d.RemainingArgs(); len(args) > 0 && fresh {
		p.at(p.places[name], "%s takes a block and nothing before it", name)
	}
	for p.d.NextBlock(nesting) {
		option()
	}
}

// flag reads an option that says all by being there.
func (p *parser) flag(option string, into *bool) {
	fresh, t := p.take(option), p.d.Token()
	if args := p.args(option); len(args) > 0 && fresh {
		p.at(t, "%s takes no value", option)
	}
	*into = true
}

func (p *parser) duration(option string, into *caddy.Duration) {
	var text string
	p.value(option, &text)
	if text == "" {
		return
	}
	d, err := caddy.ParseDuration(text)
	if err != nil {
		p.at(p.places[option], "%s: %q is no duration; write one such as 5m", option, text)
		return
	}
	if d == 0 {
		p.at(p.places[option], "%s must be above zero", option)
	}
	*into = caddy.Duration(d)
}

func (p *parser) rate(option string, into *Rate) {
	fresh := p.take(option)
	args := p.args(option)
	if !fresh {
		return
	}
	if len(args) != 2 {
		p.at(p.places[option], "%s takes a burst and tries per minute, such as 20 12", option)
		return
	}
	burst, err := strconv.Atoi(args[0])
	perMinute, err2 := strconv.ParseFloat(args[1], 64)
	if err != nil || err2 != nil || burst < 1 || !(perMinute > 0) || math.IsInf(perMinute, 0) {
		p.at(p.places[option], "%s takes a burst and tries per minute, both above zero, such as 20 12", option)
		return
	}
	*into = Rate{Burst: burst, PerMinute: perMinute}
}

// judge checks what can be checked before anything runs. Values with placeholders are judged when
// the configuration is loaded.
func (p *parser) judge() {
	s := p.settings
	config := matrixauth.Config{
		ServerName: s.Matrix.Homeserver, Issuer: s.Issuer, Kind: matrixauth.Kind(s.Matrix.Kind), Endpoint: s.Matrix.Endpoint,
		AccessTokenLifetime: timeOf(s.AccessTokenLifetime), Branding: matrixauth.Branding(s.Branding), Templates: s.Templates,
	}.WithDefaults()
	values := map[string]string{
		"homeserver": s.Matrix.Homeserver, "issuer": s.Issuer, "kind": s.Matrix.Kind, "endpoint": s.Matrix.Endpoint,
		"branding name": s.Branding.Name, "branding logo": s.Branding.Logo, "branding accent": s.Branding.Accent,
		"branding terms": s.Branding.Terms, "branding privacy": s.Branding.Privacy, "branding imprint": s.Branding.Imprint, "branding help": s.Branding.Help,
		"templates": s.Templates,
	}
	for _, problem := range config.Validate() {
		if strings.Contains(values[problem.Option], "{") {
			continue
		}
		// Files may be there again when the configuration is loaded, or may be kept from who loads it.
		if judging() || problem.Option != "templates" && problem.Option != "branding logo" {
			p.at(p.place(problem.Option), "%s: %s", problem.Option, problem.Text)
		}
	}
	p.judgeDatabase()
	p.judgeSecret("", s.Matrix.Secret, s.Matrix.SecretFile)
	p.judgeClients()
	if len(s.InternalListen) == 1 && s.InternalListen[0] == listenOff {
		return
	}
	for _, address := range s.InternalListen {
		if err := checkListen(address); err != nil {
			p.at(p.place("internal_listen"), "internal_listen: %v", err)
		}
	}
}

// judgeDatabase checks the path of the database, and its place if that is asked for.
func (p *parser) judgeDatabase() {
	path := p.settings.Database
	if strings.Contains(path, "{") {
		return
	}
	if path == "" {
		path = ownDatabase()
	}
	err := checkDatabase(path)
	if err == nil && judging() {
		err = matrixauth.ExamineDatabase(path)
	}
	if err != nil {
		p.at(p.place("database"), "database: %v", err)
	}
}

// judgeSecret checks what two options say of one secret. prefix stands before the options' names.
func (p *parser) judgeSecret(prefix, secret, file string) {
	if secret != "" && file != "" {
		p.at(p.place(prefix+"secret_file"), "%ssecret and secret_file are both there; one of them is enough", prefix)
	}
	if file == "" || strings.Contains(file, "{") || !judging() {
		return
	}
	if _, err := readSecret(file); err != nil {
		p.at(p.place(prefix+"secret_file"), "%ssecret_file: %v", prefix, err)
	}
}

// place is where an option stands, or where the directive does if it is missing.
func (p *parser) place(option string) caddyfile.Token {
	if t, ok := p.places[option]; ok {
		return t
	}
	return p.start
}

// first is what the first site with settings left for the others to be compared with.
type first struct {
	settings Settings
	start    caddyfile.Token
}

// compare makes sure that all sites mean the same instance.
func (p *parser) compare(state map[string]any) {
	const key = "matrix_auth"
	known, ok := state[key].(first)
	if !ok {
		state[key] = first{p.settings, p.start}
		return
	}
	if !reflect.DeepEqual(known.settings, p.settings) {
		p.at(p.start, "these settings differ from those of matrix_auth at %s:%d; there is one instance, so write the settings in one site and a bare matrix_auth in the others",
			known.start.File, known.start.Line)
	}
}
