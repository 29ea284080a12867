package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Metadata are the members of a registration, as a client sent them (RFC 7591 section 2). Members that
// we do not know are ignored (REG-4).
type Metadata map[string]json.RawMessage

func invalidMetadata(member, text string) error {
	return model.Errorf(model.InvalidClientMetadata, "%s %s", member, text)
}

func invalidRedirect(index int, text string) error {
	member := fmt.Sprintf("redirect_uris[%d]", index)
	return model.Errorf(model.InvalidRedirectURI, "%s %s", member, text)
}

// member returns a member by its exact name; null counts as missing.
func (m Metadata) member(name string) (json.RawMessage, bool) {
	raw, present := m[name]
	return raw, present && !bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

// text returns a member that must be a string of at most limit bytes; the empty string if it is missing.
func (m Metadata) text(name string, limit int) (string, error) {
	raw, present := m.member(name)
	if !present {
		return "", nil
	}
	var value string
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", invalidMetadata(name, "must be a string")
	}
	if len(value) > limit {
		return "", invalidMetadata(name, fmt.Sprintf("must not have more than %d bytes", limit))
	}
	return value, nil
}

// list returns a member that must be an array of at most count strings.
func (m Metadata) list(name string, count, limit int) (values []string, present bool, err error) {
	raw, present := m.member(name)
	if !present {
		return nil, false, nil
	}
	// Pointers tell a null from an empty string.
	var pointers []*string
	if err := json.Unmarshal(raw, &pointers); err != nil || slices.Contains(pointers, nil) {
		return nil, true, invalidMetadata(name, "must be an array of strings")
	}
	if len(pointers) > count {
		return nil, true, invalidMetadata(name, fmt.Sprintf("must not have more than %d values", count))
	}
	values = make([]string, 0, len(pointers))
	for _, p := range pointers {
		if len(*p) > limit {
			return nil, true, invalidMetadata(name, fmt.Sprintf("must not have a value of more than %d bytes", limit))
		}
		values = append(values, *p)
	}
	return values, true, nil
}

// unique drops what is there twice. It never returns nil, which would be null in JSON.
func unique(values []string) []string {
	once := make([]string, 0, len(values))
	for _, v := range values {
		if !slices.Contains(once, v) {
			once = append(once, v)
		}
	}
	return once
}

// parse turns what a client sent into what is registered, with defaults filled in and what we do not
// support left out (REG-2, REG-5). Its errors name the offending member (REG-17).
func (c *Clients) parse(m Metadata) (model.ClientMetadata, error) {
	var out model.ClientMetadata
	if _, present := m.member("software_statement"); present { // REG-32
		return out, model.NewError(model.UnapprovedSoftware)
	}
	for _, step := range []func(Metadata, *model.ClientMetadata) error{c.parseKind, parseGrants, parseTexts, c.parseURIs, c.parseRedirects} {
		if err := step(m, &out); err != nil {
			return model.ClientMetadata{}, err
		}
	}
	record, err := model.MarshalText(out)
	if err == nil && len(record) > bound.Registration {
		err = model.Errorf(model.InvalidClientMetadata, "all of it together must not have more than %d bytes", bound.Registration)
	}
	return out, err
}

// parseKind reads where the client runs and how it proves itself.
func (c *Clients) parseKind(m Metadata, out *model.ClientMetadata) error {
	kind, err := m.text("application_type", bound.MetadataText)
	if err != nil {
		return err
	}
	out.ApplicationType = cmp.Or(model.ApplicationType(kind), model.WebApplication)
	if !slices.Contains(model.ApplicationTypes, out.ApplicationType) {
		return invalidMetadata("application_type", "must be "+model.OneOf(model.ApplicationTypes)) // REG-9
	}
	method, err := m.text("token_endpoint_auth_method", bound.MetadataText)
	if err != nil {
		return err
	}
	out.AuthMethod = cmp.Or(model.AuthMethod(method), model.AuthBasic) // REG-19
	if !slices.Contains(model.AuthMethods, out.AuthMethod) {
		return invalidMetadata("token_endpoint_auth_method", "must be "+model.OneOf(model.AuthMethods))
	}
	_, keys := m.member("jwks")
	if _, address := m.member("jwks_uri"); keys && address { // REG-22
		return invalidMetadata("jwks", "must not be there together with jwks_uri")
	}
	return nil
}

// parseGrants reads what the client will ask for. Values that we do not know are dropped (REG-5), so
// that a client that wants more than we have gets what we have.
func parseGrants(m Metadata, out *model.ClientMetadata) error {
	grants, present, err := m.list("grant_types", bound.MetadataValues, bound.MetadataText)
	if err != nil {
		return err
	}
	if !present {
		grants = model.DefaultGrantTypes // REG-21
	}
	out.GrantTypes = slices.DeleteFunc(unique(grants), func(name string) bool { _, known := model.FindGrantType(name); return !known })
	types, present, err := m.list("response_types", bound.MetadataValues, bound.MetadataText)
	if err != nil {
		return err
	}
	out.ResponseTypes = model.ResponseTypes(out.GrantTypes)
	for _, g := range model.GrantTypes {
		if g.ResponseType != "" && present && slices.Contains(out.GrantTypes, g.Name) && !slices.Contains(types, g.ResponseType) {
			return invalidMetadata("response_types", "must contain "+g.ResponseType+", which the grant type "+g.Name+" needs")
		}
	}
	return nil
}

// parseTexts reads what is for people.
func parseTexts(m Metadata, out *model.ClientMetadata) error {
	for _, text := range []struct {
		name string
		into *string
	}{{"client_name", &out.Name}, {"software_id", &out.SoftwareID}, {"software_version", &out.SoftwareVersion}} {
		value, err := m.text(text.name, bound.MetadataText)
		if err != nil {
			return err
		}
		*text.into = model.PlainText(value)
	}
	contacts, _, err := m.list("contacts", bound.Contacts, bound.MetadataText)
	if err != nil || len(contacts) == 0 {
		return err
	}
	for _, contact := range contacts {
		out.Contacts = append(out.Contacts, model.PlainText(contact))
	}
	out.Contacts = unique(out.Contacts)
	return nil
}

// language is the part of a member's name behind the "#", as BCP 47 tags are written. What does not
// look like one is a member that we do not know.
func language(tag string) bool {
	if tag == "" || len(tag) > 35 {
		return false
	}
	return strings.IndexFunc(tag, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// localized lists the members with a language, sorted (REG-24, RFC 7591 section 2.2).
func (m Metadata) localized(base string) (names []string) {
	for name := range m {
		if tag, ok := strings.CutPrefix(name, base+"#"); ok && language(tag) {
			if _, present := m.member(name); present {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// parseURIs reads the client's own address and those of its papers, in every language. Each must lie
// on the host of client_uri or below it: the person who consents judges the client by that host.
func (c *Clients) parseURIs(m Metadata, out *model.ClientMetadata) error {
	var err error
	if out.URI, err = m.text("client_uri", bound.MetadataURI); err != nil {
		return err
	}
	if out.URI == "" {
		return invalidMetadata("client_uri", "is missing")
	}
	home, problem := c.home(out.URI)
	if problem != "" {
		return invalidMetadata("client_uri", problem)
	}
	put := func(name, value string) error {
		if len(out.Localized) == bound.LocalizedTexts {
			return invalidMetadata(name, "is one localized member too many")
		}
		if out.Localized == nil {
			out.Localized = map[string]string{}
		}
		out.Localized[name] = value
		return nil
	}
	for _, page := range []struct {
		name string
		into *string
	}{{"client_uri", &out.URI}, {"logo_uri", &out.LogoURI}, {"tos_uri", &out.TOSURI}, {"policy_uri", &out.PolicyURI}} {
		for _, name := range append([]string{page.name}, m.localized(page.name)...) {
			value, err := m.text(name, bound.MetadataURI)
			if err != nil {
				return err
			}
			if value == "" {
				continue
			}
			if problem := home.checkPage(value); problem != "" {
				return invalidMetadata(name, problem)
			}
			if name == page.name {
				*page.into = value
			} else if err := put(name, value); err != nil {
				return err
			}
		}
	}
	for _, name := range m.localized("client_name") {
		value, err := m.text(name, bound.MetadataText)
		if err != nil {
			return err
		}
		if value = model.PlainText(value); value == "" {
			continue
		}
		if err := put(name, value); err != nil {
			return err
		}
	}
	return nil
}

// parseRedirects reads the redirect URIs.
func (c *Clients) parseRedirects(m Metadata, out *model.ClientMetadata) error {
	uris, _, err := m.list("redirect_uris", bound.RedirectURIs, bound.MetadataURI)
	if err != nil {
		// The member is to blame, whatever is wrong with it (RFC 7591 section 3.2.2).
		return model.Errorf(model.InvalidRedirectURI, "%s", model.AsError(err).Text)
	}
	if len(uris) == 0 {
		if len(out.ResponseTypes) > 0 { // REG-16
			return model.Errorf(model.InvalidRedirectURI, "redirect_uris is missing or empty")
		}
		return nil
	}
	home, problem := c.home(out.URI)
	if problem != "" {
		return invalidMetadata("client_uri", problem)
	}
	for i, uri := range uris {
		problem := home.checkWeb(uri)
		if out.ApplicationType == model.NativeApplication {
			problem = home.checkNative(uri)
		}
		if problem != "" {
			return invalidRedirect(i, problem)
		}
	}
	out.RedirectURIs = unique(uris)
	return nil
}
