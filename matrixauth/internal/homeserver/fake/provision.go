package fake

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/cases"
)

// provision does its steps one by one, as Synapse does: what was done before an error stays done.
func (s *Synapse) provision(u *User, p params) result {
	answer := done
	if u == nil {
		var res *result
		if u, res = s.register(p); res != nil {
			return *res
		}
		answer = created
	} else if res := s.update(u, p); res != nil {
		return *res
	}
	if locked, ok := p["locked"].(bool); ok {
		u.Locked = locked
	}
	if avatar, ok := p["set_avatar_url"].(string); ok {
		u.AvatarURL = &avatar
	}
	if p.flag("unset_avatar_url") {
		u.AvatarURL = nil
	}
	return answer
}

// register makes a new user. A display name is taken as it is, without one the localpart is shown.
func (s *Synapse) register(p params) (*User, *result) {
	name := p.text("localpart")
	if res := s.checkName(nil, name); res != nil {
		return nil, res
	}
	u := &User{Localpart: name, Devices: map[string]*string{}}
	s.users[name] = u
	shown, ok := p["set_displayname"].(string)
	if !ok {
		shown = name
	}
	if shown != "" {
		u.DisplayName = &shown
	}
	for _, address := range emails(p) {
		if res := s.addEmail(u, address); res != nil {
			return nil, res
		}
	}
	return u, nil
}

// update changes an existing user: the display name, then the addresses.
func (s *Synapse) update(u *User, p params) *result {
	name, named := p["set_displayname"].(string)
	if named || p.flag("unset_displayname") {
		if res := s.nameUser(u, name); res != nil {
			return res
		}
	}
	_, replace := p["set_emails"]
	if !replace && !p.flag("unset_emails") {
		return nil
	}
	wanted := emails(p)
	u.Emails = slices.DeleteFunc(u.Emails, func(a string) bool { return !slices.Contains(wanted, a) })
	for _, address := range wanted {
		if res := s.addEmail(u, address); res != nil {
			return res
		}
	}
	return nil
}

func emails(p params) (list []string) {
	values, _ := p["set_emails"].([]any)
	for _, value := range values {
		list = append(list, value.(string)) // validated
	}
	return list
}

// addEmail gives an address to a user and takes it from any other.
func (s *Synapse) addEmail(u *User, address string) *result {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || strings.Contains(domain, "@") {
		return refused(http.StatusBadRequest, "M_UNKNOWN", "Unable to parse email address")
	}
	address = cases.Fold().String(local) + "@" + strings.ToLower(domain)
	for _, other := range s.users {
		other.Emails = slices.DeleteFunc(other.Emails, func(a string) bool { return a == address })
	}
	u.Emails = append(u.Emails, address)
	slices.Sort(u.Emails)
	return nil
}

// maxDisplayName is the limit for existing users, in code points.
const maxDisplayName = 256

// nameUser sets the display name of an existing user; an empty one removes it.
func (s *Synapse) nameUser(u *User, name string) *result {
	if len([]rune(name)) > maxDisplayName {
		return refused(http.StatusBadRequest, "M_UNKNOWN", "Displayname is too long (max 256)")
	}
	u.DisplayName = nil
	if name != "" {
		name = strings.TrimSpace(name)
		u.DisplayName = &name
	}
	return nil
}

func (s *Synapse) setDisplayName(u *User, p params) result {
	if res := s.nameUser(u, p.text("displayname")); res != nil {
		return *res
	}
	return done
}

func (s *Synapse) unsetDisplayName(u *User, _ params) result {
	if res := s.nameUser(u, ""); res != nil {
		return *res
	}
	return done
}
