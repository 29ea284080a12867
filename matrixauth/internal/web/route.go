package web

import "net/http"

// Place says how the paths of an endpoint are made of what it declares.
type Place int

const (
	// BelowIssuer is a path that is appended to the issuer's, at the issuer's host alone.
	BelowIssuer Place = iota
	// WellKnown is a path between host and path of the issuer (RFC 8414 section 3.1), and behind the issuer's path
	// too, as OpenID Connect has it (DISC-10); at the issuer's host alone.
	WellKnown
	// ClientAPI is a path of the Client-Server API, in each of Versions, at every host of the site.
	ClientAPI
	// Root is a path below no other.
	Root
)

// ClientAPIPath is what the paths of the Client-Server API begin with, before the version.
const ClientAPIPath = "/_matrix/client/"

// Side says who reaches an endpoint.
type Side int

const (
	// Public is the site, which clients and browsers reach.
	Public Side = iota
	// Internal is the listener for the homeserver, which is not reached from outside.
	Internal
	// Both are both: what the homeserver asks, also of an issuer that lives elsewhere.
	Both
)

// Endpoint is what is known of a route before there is a server that answers it.
type Endpoint struct {
	// Name stands for the path in logs.
	Name string
	// Path is the path without a slash before it. Place says what stands before it.
	Path  string
	Place Place
	// Minted reports whether the endpoint is for who bears one of our tokens: a request with any other token, as application
	// services have, is the homeserver's (LEG-2, ASV-4).
	Minted bool
	// Variable names the last segment of the path, which any text may be; empty for none. A handler reads it by
	// http.Request.PathValue. Of such a path the methods of the handlers alone are ours: the others are the homeserver's.
	Variable string
	// Versions are those of the Client-Server API that have the endpoint, such as "v3"; the first is the one that
	// clients use today.
	Versions []string
	Wire     Wire
	Side     Side
	// Hot endpoints are logged only when debugging: they are asked all the time.
	Hot bool
}

// Route is an endpoint with what answers it. D is the door whose methods do; so a door declares its routes
// beside its handlers before it is made.
type Route[D any] struct {
	Endpoint
	// Get answers HEAD too. Nil refuses the method.
	Get, Post, Delete func(D, http.ResponseWriter, *http.Request) error
}

// Family is a path below the issuer under which all is ours: what no endpoint has there does not exist, and
// the homeserver behind us would only say so in its own words.
type Family struct {
	// Prefix is what the paths begin with, with a slash at its end and none before it.
	Prefix string
	Wire   Wire
}

// Routes is what one door serves.
type Routes[D any] struct {
	Routes   []Route[D]
	Families []Family
}

// Bound is an endpoint with its handlers, by method.
type Bound struct {
	Endpoint
	Handlers map[string]Handler
}

// Bind has a door answer its routes.
func (r Routes[D]) Bind(door D) []Bound {
	all := make([]Bound, 0, len(r.Routes))
	for _, route := range r.Routes {
		b := Bound{Endpoint: route.Endpoint, Handlers: map[string]Handler{}}
		bind := func(method string, f func(D, http.ResponseWriter, *http.Request) error) {
			if f != nil {
				b.Handlers[method] = func(w http.ResponseWriter, r *http.Request) error { return f(door, w, r) }
			}
		}
		bind(http.MethodGet, route.Get)
		bind(http.MethodHead, route.Get)
		bind(http.MethodPost, route.Post)
		bind(http.MethodDelete, route.Delete)
		all = append(all, b)
	}
	return all
}

// Endpoints lists the endpoints of the routes.
func (r Routes[D]) Endpoints() []Endpoint {
	all := make([]Endpoint, 0, len(r.Routes))
	for _, route := range r.Routes {
		all = append(all, route.Endpoint)
	}
	return all
}
