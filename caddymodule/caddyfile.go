package caddymodule

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// parseDirective reads the directive:
//
//	matrix_auth [<server_name> <issuer>] {
//		<option> ...
//	}
//
// The options are the fields of Settings. Without anything it joins the instance of another site.
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
		noteJoin(h.State, p.start)
		return &Handler{}, errors.Join(p.errs...)
	}
	p.check()
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
	p.options(reflect.ValueOf(&p.settings).Elem(), "matrix_auth", "")
}

// options reads the block that may follow into a struct. where is what a message calls the block, prefix what
// it says before the names of its options.
func (p *parser) options(into reflect.Value, where, prefix string) {
	for nesting := p.d.Nesting(); p.d.NextBlock(nesting); {
		o, found := findOption(into.Type(), p.d.Val())
		if !found {
			p.unknown(where, into.Type())
			continue
		}
		value, name := into.FieldByIndex(o.Index), o.below(prefix)
		switch {
		case o.isList():
			p.named(o, value)
		case o.isBlock():
			p.block(o, name, value)
		case o.tag == "lines":
			p.lines(name, value)
		default:
			p.value(o, name, value)
		}
	}
}

func (p *parser) unknown(where string, block reflect.Type) {
	name, _, _ := strings.Cut(p.d.Val(), "=") // behind it may stand a secret
	p.at(p.d.Token(), "%s does not know the option %q; it knows %s", where, name, known(block))
	p.d.RemainingArgs()
	p.skipBlock()
}

// block reads a block of options.
func (p *parser) block(o option, name string, into reflect.Value) {
	fresh := p.take(name)
	args, before := p.d.RemainingArgs(), argument(into)
	switch {
	case !fresh:
	case before.IsValid():
		value, problem := oneValue(args)
		if before.SetString(value); problem != "" {
			p.at(p.places[name], "%s %s", name, problem)
		}
	case len(args) > 0:
		p.at(p.places[name], "%s takes a block and nothing before it", name)
	}
	p.options(into, o.name, o.prefix(name))
}

// named reads a block with a name before it, and adds it to those of other names. Its options are told by
// that name before theirs.
func (p *parser) named(o option, into reflect.Value) {
	t, args := p.d.Token(), p.d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		p.at(t, "%[1]s takes an id and a block, such as: %[1]s portal { ... }", o.name)
		p.skipBlock()
		return
	}
	name := o.name + " " + args[0]
	if first, twice := p.places[name]; twice {
		p.at(t, "%s is there twice, first in line %d", name, first.Line)
		p.skipBlock()
		return
	}
	p.places[name] = t
	one := reflect.New(o.Type.Elem()).Elem()
	argument(one).SetString(args[0])
	p.options(one, o.name, name)
	into.Set(reflect.Append(into, one))
}

// lines reads addresses: several in a line, in several lines, or both.
func (p *parser) lines(name string, into reflect.Value) {
	t := p.d.Token()
	if _, again := p.places[name]; !again {
		p.places[name] = t
	}
	args := p.args(name)
	if len(args) == 0 {
		p.at(t, "%s takes one value or more", name)
	}
	into.Set(reflect.AppendSlice(into, reflect.ValueOf(args)))
}

// value reads an option that stands once, in one line.
func (p *parser) value(o option, name string, into reflect.Value) {
	fresh := p.take(name)
	args := p.args(name)
	if !fresh {
		return
	}
	if problem := o.read(args, into); problem != "" {
		p.at(p.places[name], "%s %s", name, problem)
	}
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
