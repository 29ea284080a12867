package synapseconfig

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ServerName is server_name, "" if this file does not set it (Debian sets it in conf.d).
func (f *File) ServerName() string {
	_, value := f.get("server_name")
	return stringOf(value)
}

// ServerNameLine is the line of server_name, 0 if this file does not set it.
func (f *File) ServerNameLine() int {
	key, _ := f.get("server_name")
	return lineOf(key)
}

// PublicBaseURL is public_baseurl as Synapse uses it: with a slash at its end, and https://server_name/
// if it is not set. It is "" if the file sets neither.
func (f *File) PublicBaseURL() string {
	_, value := f.get("public_baseurl")
	if base := stringOf(value); base != "" {
		return strings.TrimSuffix(base, "/") + "/"
	}
	if name := f.ServerName(); name != "" {
		return "https://" + name + "/"
	}
	return ""
}

// PublicBaseURLLine is the line of public_baseurl, 0 if this file does not set it.
func (f *File) PublicBaseURLLine() int {
	key, _ := f.get("public_baseurl")
	return lineOf(key)
}

// Listener is one entry of listeners.
type Listener struct {
	Line          int
	Type          string   // http, metrics, manhole …
	Port          int      // 0 for a Unix socket
	Path          string   // of a Unix socket, "" for TCP
	BindAddresses []string // Synapse's default if the entry names none; empty for a Unix socket
	TLS           bool
	XForwarded    bool     // Synapse takes the client's address from X-Forwarded-For
	Resources     []string // client, federation … in the order of the file
}

// Listeners are the entries of listeners in their order, none if this file has no such key.
func (f *File) Listeners() []Listener {
	_, value := f.get("listeners")
	list := deref(value)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var listeners []Listener
	for _, entry := range list.Content {
		if entry = deref(entry); entry.Kind == yaml.MappingNode {
			listeners = append(listeners, newListener(entry))
		}
	}
	return listeners
}

// ClientListeners are the listeners that serve the client-server API and with it /_synapse/mas.
func (f *File) ClientListeners() []Listener {
	return slices.DeleteFunc(f.Listeners(), func(l Listener) bool {
		return l.Type != "http" || !slices.Contains(l.Resources, "client")
	})
}

func newListener(entry *yaml.Node) Listener {
	field := func(name string) *yaml.Node {
		_, value := lookup(entry, name)
		return value
	}
	l := Listener{Line: entry.Line, Type: stringOf(field("type")), Path: stringOf(field("path")), TLS: truthy(field("tls"))}
	if kindOf(field("port")) == kindInt {
		// A port that is no number of YAML's stays 0, as if it were missing: Synapse refuses it too.
		if port, err := strconv.ParseInt(strings.ReplaceAll(deref(field("port")).Value, "_", ""), 0, 32); err == nil {
			l.Port = int(port)
		}
	}
	l.XForwarded = l.Path != ""
	if forwarded := field("x_forwarded"); forwarded != nil {
		l.XForwarded = truthy(forwarded)
	}
	l.Resources = resourceNames(field("resources"))
	if l.Path != "" {
		return l
	}
	l.BindAddresses = stringsOf(field("bind_addresses"))
	if address := stringOf(field("bind_address")); address != "" {
		l.BindAddresses = append(l.BindAddresses, address)
	}
	if len(l.BindAddresses) == 0 && l.Type == "metrics" {
		l.BindAddresses = []string{"0.0.0.0"}
	} else if len(l.BindAddresses) == 0 {
		l.BindAddresses = []string{"::", "0.0.0.0"}
	}
	return l
}

func resourceNames(value *yaml.Node) []string {
	list := deref(value)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var names []string
	for _, resource := range list.Content {
		_, value := lookup(resource, "names")
		names = append(names, stringsOf(value)...)
	}
	return names
}

func stringsOf(value *yaml.Node) []string {
	list := deref(value)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var texts []string
	for _, item := range list.Content {
		if text := stringOf(item); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}
