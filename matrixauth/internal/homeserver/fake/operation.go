package fake

import (
	"io"
	"net/http"
	"strings"
)

// operation is one call of the API. Its work runs under the lock.
type operation struct {
	method    string
	fields    []field
	exclusive [][2]string
	// creates lets the call through for a user who does not exist.
	creates bool
	work    func(s *Synapse, u *User, p params) result
}

var (
	localpart = field{name: "localpart", kind: text, required: true}
	deviceID  = field{name: "device_id", kind: text, required: true}
)

var operations = map[string]operation{
	"query_user":             {method: http.MethodGet, work: (*Synapse).query},
	"is_localpart_available": {method: http.MethodGet, creates: true, work: (*Synapse).available},
	"provision_user": {method: http.MethodPost, creates: true, work: (*Synapse).provision,
		fields: []field{
			localpart, {name: "unset_displayname", kind: flag}, {name: "set_displayname", kind: optionalText},
			{name: "unset_avatar_url", kind: flag}, {name: "set_avatar_url", kind: optionalText},
			{name: "unset_emails", kind: flag}, {name: "set_emails", kind: optionalList}, {name: "locked", kind: optionalFlag, recent: true},
		},
		exclusive: [][2]string{
			{"unset_displayname", "set_displayname"}, {"unset_avatar_url", "set_avatar_url"}, {"unset_emails", "set_emails"},
		}},
	"delete_user":               {method: http.MethodPost, fields: []field{localpart, {name: "erase", kind: flag, required: true}}, work: (*Synapse).delete},
	"reactivate_user":           {method: http.MethodPost, fields: []field{localpart}, work: (*Synapse).reactivate},
	"set_displayname":           {method: http.MethodPost, fields: []field{localpart, {name: "displayname", kind: text, required: true}}, work: (*Synapse).setDisplayName},
	"unset_displayname":         {method: http.MethodPost, fields: []field{localpart}, work: (*Synapse).unsetDisplayName},
	"allow_cross_signing_reset": {method: http.MethodPost, fields: []field{localpart}, work: (*Synapse).allowReset},
	"upsert_device": {method: http.MethodPost, work: (*Synapse).upsertDevice,
		fields: []field{localpart, deviceID, {name: "display_name", kind: optionalText}}},
	"delete_device": {method: http.MethodPost, fields: []field{localpart, deviceID}, work: (*Synapse).deleteDevice},
	"update_device_display_name": {method: http.MethodPost, work: (*Synapse).updateDevice,
		fields: []field{localpart, deviceID, {name: "display_name", kind: text, required: true}}},
}

// answer checks in Synapse's order: path, method, secret, parameters, user.
func (s *Synapse) answer(r *http.Request, call *Call) result {
	o, ok := operations[call.Op]
	if !ok {
		return result{status: http.StatusNotFound, html: true}
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if method != o.method {
		return matrixError(http.StatusMethodNotAllowed, "M_UNRECOGNIZED", "Unrecognized request")
	}
	if res := s.checkSecret(r); res != nil {
		return *res
	}
	p, res := s.params(r, o, call)
	if res != nil {
		return *res
	}
	call.Localpart, call.DeviceID = p.text("localpart"), p.text("device_id")
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[call.Localpart]
	if u == nil && !o.creates {
		return noUser
	}
	return o.work(s, u, p)
}

// checkSecret takes the secret as Synapse takes an access token: in the header, or else in the query.
func (s *Synapse) checkSecret(r *http.Request) *result {
	given := r.URL.Query().Get("access_token")
	if header := r.Header.Get("Authorization"); header != "" {
		parts := strings.Split(header, " ")
		if len(parts) != 2 || parts[0] != "Bearer" {
			return refused(http.StatusUnauthorized, "M_MISSING_TOKEN", "Invalid Authorization header.")
		}
		given = parts[1]
	}
	if given == "" {
		return refused(http.StatusUnauthorized, "M_MISSING_TOKEN", "Missing access token")
	}
	if given != s.config.Secret {
		return refused(http.StatusForbidden, "M_UNKNOWN", "This endpoint must only be called by MAS")
	}
	return nil
}

func (s *Synapse) params(r *http.Request, o operation, call *Call) (params, *result) {
	if o.method == http.MethodPost {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, refused(http.StatusBadRequest, "M_UNKNOWN", "Error reading JSON content.")
		}
		p, body, res := s.parseBody(data, o.fields, o.exclusive)
		call.Body = body
		return p, res
	}
	query := r.URL.Query()
	if !query.Has("localpart") {
		if call.Op == "query_user" {
			return nil, refused(http.StatusBadRequest, "M_MISSING_PARAM", "Missing string query parameter 'localpart'")
		}
		return nil, refused(http.StatusBadRequest, "M_UNKNOWN", "Missing localpart")
	}
	for _, b := range []byte(query.Get("localpart")) {
		if b > 0x7f {
			return nil, refused(http.StatusBadRequest, "M_UNKNOWN", "Query parameter 'localpart' must be ascii")
		}
	}
	return params{"localpart": query.Get("localpart")}, nil
}

func (s *Synapse) query(u *User, _ params) result {
	return result{status: http.StatusOK, body: map[string]any{
		"user_id": "@" + u.Localpart + ":" + s.config.ServerName, "display_name": u.DisplayName, "avatar_url": u.AvatarURL,
		"is_suspended": u.Suspended, "is_deactivated": u.Deactivated,
	}}
}

func (s *Synapse) available(u *User, p params) result {
	if res := s.checkName(u, p.text("localpart")); res != nil {
		return *res
	}
	return done
}

// checkName checks the localpart of a new user, in Synapse's order.
func (s *Synapse) checkName(u *User, name string) *result {
	invalid := func(text string) *result { return refused(http.StatusBadRequest, "M_INVALID_USERNAME", text) }
	switch {
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789=_-./+") != "":
		return invalid("User ID can only contain characters a-z, 0-9, or '=_-./+'")
	case name == "":
		return invalid("User ID cannot be empty")
	case name[0] == '_':
		return invalid("User ID may not begin with _")
	case strings.HasPrefix(name, s.config.Exclusive):
		return refused(http.StatusBadRequest, "M_EXCLUSIVE", "This user ID is reserved by an application service.")
	case len("@"+name+":"+s.config.ServerName) > 255:
		return invalid("User ID may not be longer than 255 characters")
	case u != nil:
		return refused(http.StatusBadRequest, "M_USER_IN_USE", "User ID already taken.")
	case strings.Trim(name, "0123456789") == "":
		return invalid("Numeric user IDs are reserved for guest users.")
	}
	return nil
}

func (s *Synapse) delete(u *User, p params) result {
	u.Deactivated, u.Emails, u.Devices = true, nil, map[string]*string{}
	if p.flag("erase") {
		u.Erased, u.DisplayName, u.AvatarURL = true, nil, nil
	}
	return done
}

func (s *Synapse) reactivate(u *User, _ params) result {
	u.Deactivated, u.Erased = false, false
	return done
}

func (s *Synapse) allowReset(u *User, _ params) result {
	u.CrossSigningResets++
	return done
}

func (s *Synapse) upsertDevice(u *User, p params) result {
	name, named := p["display_name"].(string)
	if res := checkDeviceName(name); res != nil {
		return *res
	}
	if u.Devices == nil {
		u.Devices = map[string]*string{}
	}
	_, exists := u.Devices[p.text("device_id")]
	if named {
		u.Devices[p.text("device_id")] = &name
	}
	if exists {
		return done
	}
	if !named {
		u.Devices[p.text("device_id")] = nil
	}
	return created
}

func (s *Synapse) deleteDevice(u *User, p params) result {
	delete(u.Devices, p.text("device_id"))
	return noContent
}

func (s *Synapse) updateDevice(u *User, p params) result {
	name := p.text("display_name")
	if res := checkDeviceName(name); res != nil {
		return *res
	}
	if _, exists := u.Devices[p.text("device_id")]; !exists {
		return matrixError(http.StatusNotFound, "M_NOT_FOUND", "Not found")
	}
	u.Devices[p.text("device_id")] = &name
	return done
}

func checkDeviceName(name string) *result {
	if len([]rune(name)) > 100 {
		return refused(http.StatusBadRequest, "M_TOO_LARGE", "Device display name is too long (max 100)")
	}
	return nil
}
