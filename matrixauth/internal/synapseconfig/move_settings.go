package synapseconfig

import (
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// MoveOptions say how Synapse runs.
type MoveOptions struct {
	// Dir is the directory that Synapse is started in, from which it opens relative paths. Empty means the working
	// directory of this process.
	Dir string
}

// MoveSettings are the settings that matter for a move away from Synapse's own accounts. The pepper comes only from its
// method Pepper, the password of the database only from Database.Password.
type MoveSettings struct {
	ServerName string
	Database   Database
	// Delegated reports whether Synapse delegates its logins already.
	Delegated bool

	PasswordsEnabled bool // for a sign-in; "only_for_reauth" is not
	LocalDB          bool // the passwords of Synapse's database are in use
	BcryptRounds     int
	HasPepper        bool
	Policy           PasswordPolicy

	Registration Registration
	GuestAccess  bool

	// Zero is no end. RefreshableLifetime is Synapse's default if it is not set.
	SessionLifetime, RefreshTokenLifetime, NonrefreshableLifetime, RefreshableLifetime time.Duration
	// NoRefresh reports that Synapse issues no refresh tokens (refreshable_access_token_lifetime: null).
	NoRefresh bool

	Appservices []Appservice
	Mail        Mail

	pepper   string
	findings []MoveFinding
}

// PasswordPolicy is password_config.policy, all zero if it is off.
type PasswordPolicy struct {
	MinLength int
	// Requires are the names of the kinds of character that must be there: digit, symbol, lowercase, uppercase.
	Requires []string
}

// Registration is what Synapse lets people register by.
type Registration struct {
	Open         bool // enable_registration
	Token        bool // registration_requires_token
	Email        bool // registrations_require_3pid has email
	Phone        bool // registrations_require_3pid has msisdn
	Unverified   bool // enable_registration_without_verification
	Captcha      bool
	Approval     bool
	EmailDomains bool   // allowed_local_3pids restricts addresses
	Consent      string // user_consent.version
}

// Mail is how Synapse sends mail. Its password is not read.
type Mail struct {
	Host, Port, User, From string
	// ForceTLS and RequireTLS are force_tls and require_transport_security.
	ForceTLS, RequireTLS bool
}

// Pepper returns password_config.pepper, which Synapse appends to each password before it hashes it. It must not reach
// a log.
func (s *MoveSettings) Pepper() string { return s.pepper }

// String keeps everything but the server's name out of logs.
func (s MoveSettings) String() string { return "the settings of " + s.ServerName }

// GoString is String: it keeps the pepper out of %#v.
func (s MoveSettings) GoString() string { return s.String() }

// Move reads what a move needs. It never fails: what is odd is one of the findings.
func (c *Config) Move(options MoveOptions) *MoveSettings {
	s := &MoveSettings{}
	s.readServer(c)
	s.readDatabase(c, options.Dir)
	s.readPasswords(c)
	s.readRegistration(c)
	s.readLifetimes(c)
	s.readLogins(c)
	s.readAppservices(c, options.Dir)
	s.readMail(c)
	return s
}

func (s *MoveSettings) readServer(c *Config) {
	s.ServerName, _, _ = c.ServerName()
	if mas := c.MAS(); mas != nil && mas.Enabled {
		s.Delegated = true
		f, key, _ := c.get(keyMAS)
		s.find(kindDelegated, f, key, "")
	}
	if old := c.MSC3861(); old != nil && old.Enabled {
		s.Delegated = true
		f, key, _ := c.get(keyExperimental, keyMSC3861)
		s.find(kindDelegatedOld, f, key, "")
	}
	if f, key, _ := c.get("server_name"); s.ServerName == "" {
		s.find(kindServerNameMissing, f, key, "")
	} else {
		s.find(kindServerName, f, key, s.ServerName) // dropped by Findings if it is ours
	}
	if f, key, value := c.get("allow_guest_access"); truthy(value) {
		s.GuestAccess = true
		s.find(kindGuests, f, key, "")
	}
}

func (s *MoveSettings) readPasswords(c *Config) {
	f, key, enabled := c.get("password_config", "enabled")
	s.PasswordsEnabled = !s.Delegated
	if key != nil {
		s.PasswordsEnabled = truthy(enabled) && stringOf(enabled) != "only_for_reauth"
	}
	if !s.PasswordsEnabled && !s.Delegated {
		s.find(kindPasswordsOff, f, key, "")
	}
	s.LocalDB = true
	if f, key, local := c.get("password_config", "localdb_enabled"); key != nil && !truthy(local) {
		s.LocalDB = false
		s.find(kindLocalDBOff, f, key, "")
	}
	if f, key, pepper := c.get("password_config", "pepper"); key != nil {
		if s.pepper = stringOf(pepper); kindOf(pepper) != kindString {
			s.find(kindPepperNotText, f, key, "")
		}
	}
	s.HasPepper = s.pepper != ""
	s.BcryptRounds = 12 // Synapse's default
	if _, key, rounds := c.get("bcrypt_rounds"); key != nil && kindOf(rounds) == kindInt {
		if n, ok := intOf(deref(rounds).Value); ok && n.IsInt64() {
			s.BcryptRounds = int(n.Int64())
		}
	}
	s.readPolicy(c)
}

func (s *MoveSettings) readPolicy(c *Config) {
	f, key, policy := c.get("password_config", "policy")
	if _, enabled := lookup(policy, "enabled"); !truthy(enabled) {
		return
	}
	if _, least := lookup(policy, "minimum_length"); kindOf(least) == kindInt {
		if n, ok := intOf(deref(least).Value); ok && n.IsInt64() {
			s.Policy.MinLength = int(n.Int64())
		}
	}
	for _, name := range []string{"digit", "symbol", "lowercase", "uppercase"} {
		if _, required := lookup(policy, "require_"+name); truthy(required) {
			s.Policy.Requires = append(s.Policy.Requires, name)
		}
	}
	if len(s.Policy.Requires) > 0 {
		s.find(kindPolicy, f, key, strings.Join(s.Policy.Requires, ", "))
	}
}

func (s *MoveSettings) readRegistration(c *Config) {
	r := &s.Registration
	f, key, open := c.get("enable_registration")
	r.Open = stringIsTrue(open)
	if df, dkey, disable := c.get("disable_registration"); dkey != nil {
		f, key, r.Open = df, dkey, !stringIsTrue(disable)
	}
	set := func(name string) bool {
		_, _, value := c.get(name)
		return truthy(value)
	}
	_, _, unverified := c.get("enable_registration_without_verification")
	r.Unverified = stringIsTrue(unverified)
	r.Token, r.EmailDomains = set("registration_requires_token"), set("allowed_local_3pids")
	_, _, threepids := c.get("registrations_require_3pid")
	if threepids = deref(threepids); threepids != nil && threepids.Kind == yaml.SequenceNode {
		for _, entry := range threepids.Content {
			r.Email = r.Email || stringOf(entry) == "email"
			r.Phone = r.Phone || stringOf(entry) == "msisdn"
		}
	}
	_, _, msc3866 := c.get(keyExperimental, "msc3866")
	_, enabled := lookup(msc3866, "enabled")
	_, approval := lookup(msc3866, "require_approval_for_new_accounts")
	r.Approval = truthy(enabled) && truthy(approval)
	if r.Open {
		s.find(kindRegistration, f, key, "")
	}
	if cf, ckey, captcha := c.get("enable_registration_captcha"); truthy(captcha) {
		r.Captcha = true
		s.find(kindCaptcha, cf, ckey, "")
	}
	if cf, ckey, consent := c.get("user_consent"); kindOf(consent) != kindNull {
		_, version := lookup(consent, "version")
		r.Consent = pythonText(version)
		s.find(kindConsent, cf, ckey, "")
	}
	for _, name := range []string{"registration_shared_secret", "registration_shared_secret_path"} {
		if cf, ckey, secret := c.get(name); truthy(secret) {
			s.find(kindSharedSecret, cf, ckey, "")
		}
	}
}

// synapseRefreshable is Synapse's default of refreshable_access_token_lifetime.
const synapseRefreshable = 5 * time.Minute

func (s *MoveSettings) readLifetimes(c *Config) {
	s.RefreshableLifetime = synapseRefreshable
	if _, key, value := c.get("refreshable_access_token_lifetime"); key != nil {
		s.RefreshableLifetime, s.NoRefresh = durationOf(value), kindOf(value) == kindNull
	}
	for _, lifetime := range []struct {
		name string
		to   *time.Duration
	}{
		{"session_lifetime", &s.SessionLifetime},
		{"refresh_token_lifetime", &s.RefreshTokenLifetime},
		{"nonrefreshable_access_token_lifetime", &s.NonrefreshableLifetime},
	} {
		f, key, value := c.get(lifetime.name)
		if *lifetime.to = durationOf(value); *lifetime.to != 0 {
			s.find(kindLifetime, f, key, lifetime.name)
		}
	}
}

// durationOf is Synapse's parse_duration: a number counts milliseconds; zero for what is none.
func durationOf(n *yaml.Node) time.Duration {
	switch kindOf(n) {
	case kindInt:
		if number, ok := intOf(deref(n).Value); ok && number.IsInt64() {
			return milliseconds(number.Int64(), 1)
		}
	case kindString:
		text := stringOf(n)
		if text == "" {
			return 0
		}
		sizes := map[byte]int64{'s': 1000, 'm': 60_000, 'h': 3_600_000, 'd': 86_400_000, 'w': 7 * 86_400_000, 'y': 365 * 86_400_000}
		size, found := sizes[text[len(text)-1]]
		if found {
			text = text[:len(text)-1]
		} else {
			size = 1
		}
		if number, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
			return milliseconds(number, size)
		}
	}
	return 0
}

// milliseconds is count times size of them, at most what a Duration holds.
func milliseconds(count, size int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	if count <= 0 {
		return 0
	}
	if count > most/size {
		return time.Duration(most) * time.Millisecond
	}
	return time.Duration(count*size) * time.Millisecond
}

func (s *MoveSettings) readMail(c *Config) {
	_, _, email := c.get("email")
	text := func(name string) string {
		_, value := lookup(email, name)
		return pythonText(value)
	}
	if !truthy(email) {
		return
	}
	s.Mail.Host = orElse(text("smtp_host"), "localhost") // Synapse's default
	_, force := lookup(email, "force_tls")
	_, require := lookup(email, "require_transport_security")
	s.Mail.ForceTLS, s.Mail.RequireTLS = truthy(force), truthy(require)
	if s.Mail.Port = text("smtp_port"); s.Mail.Port == "" {
		s.Mail.Port = "25"
		if s.Mail.ForceTLS {
			s.Mail.Port = "465"
		}
	}
	app := text("app_name")
	if app == "" {
		app = "Matrix"
	}
	s.Mail.User = text("smtp_user")
	s.Mail.From = strings.ReplaceAll(text("notif_from"), "%(app)s", app)
}
