package synapseconfig

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The weights of a MoveFinding: an error has to be mended first, a warning to be accepted by its code.
const (
	WeightError   = "error"
	WeightWarning = "warning"
	WeightNote    = "note"
)

// MoveFinding is a setting that matters to a move away from Synapse's own accounts. No field holds a secret.
type MoveFinding struct {
	// Code names its kind for good, in lower case with underscores.
	Code   string
	Weight string
	// Path and Line are its place; empty and 0 if no file has the setting.
	Path string
	Line int
	// What says what was found, and Change what to do, each without a full stop.
	What, Change string
}

// moveKind is what there is to say about a code. %s in what stands for the detail.
type moveKind struct{ code, weight, what, change string }

var (
	kindServerNameMissing = moveKind{"server_name_missing", WeightError, "server_name is not set", "name every file that Synapse reads; Debian sets it in conf.d/server_name.yaml"}
	kindServerName        = moveKind{"server_name_differs", WeightError, "Synapse's server_name is %s, which is not that of the Caddyfile", "write the same name behind matrix_auth, or name the other homeserver.yaml"}

	kindDelegated    = moveKind{"already_delegated", WeightNote, "Synapse delegates its logins already, so what it has is as it was at that time", "nothing, if that is to us"}
	kindDelegatedOld = moveKind{"delegated_by_msc3861", WeightNote, "Synapse delegates its logins by msc3861, so what it has is as it was at that time", "nothing, if that is to us; caddy matrix-auth migrate msc3861 brings the setting up to date"}

	kindDatabaseMissing   = moveKind{"database_missing", WeightError, "the configuration names no database", "name every file that Synapse reads"}
	kindDatabaseAmbiguous = moveKind{"database_ambiguous", WeightError, "databases and another setting of the database are both there, with which Synapse does not start", "remove one of the two"}
	kindDatabaseUnknown   = moveKind{"database_unknown", WeightError, "the database is neither sqlite3 nor psycopg2, with which Synapse does not start", "name: psycopg2, or name: sqlite3"}
	kindDatabaseInMemory  = moveKind{"database_in_memory", WeightError, "the database has no file, so nothing is in it that could be read", "name the configuration of the Synapse that is used"}
	kindDatabaseURI       = moveKind{"database_uri", WeightError, "the database of SQLite is given as a URI", "write the path of the file, without uri: true"}
	kindDatabaseRelative  = moveKind{"database_relative", WeightNote, "the path %s of the database counts from the directory that Synapse is started in", "run the command there, or write the whole path"}
	kindDatabaseArgument  = moveKind{"database_argument", WeightNote, "the argument %s of the database is not used here", "nothing, if the database can be reached without it"}

	kindGuests = moveKind{"guest_access", WeightWarning, "Synapse lets guests in (allow_guest_access); their accounts cannot come, and their sessions end", "allow_guest_access: false, and remove the line"}

	kindPasswordsOff  = moveKind{"passwords_off", WeightWarning, "Synapse lets nobody sign in by a password; with us everybody can who has one in its database", "nothing, if that is well; else leave the passwords behind"}
	kindLocalDBOff    = moveKind{"localdb_off", WeightWarning, "the passwords in Synapse's database are not in use (localdb_enabled: false); with us they are", "nothing, if that is well; else leave the passwords behind"}
	kindPepperNotText = moveKind{"pepper_not_text", WeightError, "the pepper is not text in YAML but a number, a boolean or empty, with which Synapse checks no password", "put it in quotes, or remove the line"}
	kindPolicy        = moveKind{"password_policy", WeightNote, "Synapse asks new passwords for kinds of characters (%s); we judge how hard a password is to guess", "look at passwords min_score"}

	kindRegistration = moveKind{"registration_open", WeightNote, "Synapse lets people register themselves", "the lines for the Caddyfile go on with it"}
	kindCaptcha      = moveKind{"captcha", WeightWarning, "registration asks for a captcha, which we have none of", "ask for a mail address, an invitation or an operator's approval instead"}
	kindConsent      = moveKind{"user_consent", WeightNote, "Synapse asks for consent to terms; who accepted them is taken along, and new people are asked by us", "registration { terms ADDRESS VERSION }"}
	kindSharedSecret = moveKind{"shared_secret", WeightNote, "accounts are made by registration_shared_secret, which Synapse does not answer to any more once it delegates", "use caddy matrix-auth user add"}
	kindLifetime     = moveKind{"lifetime", WeightWarning, "%s ends sessions or tokens; what is taken along keeps its end, and what is new with us has none such", "remove the line, with which Synapse does not start once it delegates"}

	kindExisting = moveKind{"login_via_existing_session", WeightNote, "a session can issue login tokens for another app (login_via_existing_session), which ends", "nothing; apps sign in by the browser"}
	kindThreepid = moveKind{"threepid_changes", WeightNote, "people change mail addresses and telephone numbers at Synapse; with us they change mail addresses on their account's pages", "nothing"}

	kindOIDC           = moveKind{"oidc_provider", WeightWarning, "people sign in at %s; their sessions go on, and who has no password cannot sign in anew, as we know no other providers yet", "set passwords for them (user set-password), or wait with the move"}
	kindCAS            = moveKind{"cas", WeightWarning, "people sign in by CAS; their sessions go on, and who has no password cannot sign in anew", "set passwords for them (user set-password), or wait with the move"}
	kindSAML           = moveKind{"saml", WeightWarning, "people sign in by SAML; their sessions go on, and who has no password cannot sign in anew", "set passwords for them (user set-password), or wait with the move"}
	kindJWT            = moveKind{"jwt", WeightWarning, "apps sign in by JWT; their sessions go on, and they cannot sign in anew", "look for what signs in so"}
	kindPasswordModule = moveKind{"password_module", WeightWarning, "%s checks passwords; sessions go on, and who has no password in Synapse's database cannot sign in anew", "set passwords for them (user set-password), or wait with the move"}
	kindModule         = moveKind{"module", WeightNote, "the module %s runs inside Synapse; if it checks passwords or has a say in registration, that ends", "read its manual"}

	kindAppserviceFile = moveKind{"appservice_file", WeightWarning, "the file of an application service cannot be read (%s); which users are its own is then known from the database alone", "run the command where Synapse runs, or correct app_service_config_files"}
)

// MoveKinds returns one finding of every kind, without a place; what differs from one to another is an ellipsis in What.
func MoveKinds() []MoveFinding {
	var all []MoveFinding
	for _, kind := range []moveKind{
		kindServerNameMissing, kindServerName, kindDelegated, kindDelegatedOld, kindDatabaseMissing, kindDatabaseAmbiguous, kindDatabaseUnknown,
		kindDatabaseInMemory, kindDatabaseURI, kindDatabaseRelative, kindDatabaseArgument, kindGuests, kindPasswordsOff, kindLocalDBOff,
		kindPepperNotText, kindPolicy, kindRegistration, kindCaptcha, kindConsent, kindSharedSecret, kindLifetime, kindExisting, kindThreepid,
		kindOIDC, kindCAS, kindSAML, kindJWT, kindPasswordModule, kindModule, kindAppserviceFile,
	} {
		all = append(all, kind.finding("…"))
	}
	return all
}

func (k moveKind) finding(detail string) MoveFinding {
	return MoveFinding{Code: k.code, Weight: k.weight, What: strings.Replace(k.what, "%s", detail, 1), Change: k.change}
}

// find notes a kind at a key; f may be nil if no file has it.
func (s *MoveSettings) find(kind moveKind, f *File, key *yaml.Node, detail string) {
	found := kind.finding(detail)
	if f != nil {
		found.Path, found.Line = f.name, lineOf(key)
	}
	s.findings = append(s.findings, found)
}

// Findings returns what was found, what stops first. The server's name is compared with ours.
func (s *MoveSettings) Findings(ours string) []MoveFinding {
	found := slices.DeleteFunc(slices.Clone(s.findings), func(f MoveFinding) bool {
		return f.Code == kindServerName.code && s.ServerName == ours
	})
	order := []string{WeightError, WeightWarning, WeightNote}
	slices.SortStableFunc(found, func(a, b MoveFinding) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Weight), slices.Index(order, b.Weight)), cmp.Compare(a.Code, b.Code))
	})
	return found
}

// readLogins looks for the ways to sign in that we do not have.
func (s *MoveSettings) readLogins(c *Config) {
	if f, key, providers := c.get("oidc_providers"); truthy(providers) {
		names := namesOf(providers, func(entry *yaml.Node) *yaml.Node {
			for _, name := range []string{"idp_name", "idp_id", "issuer"} {
				if _, value := lookup(entry, name); stringOf(value) != "" {
					return value
				}
			}
			return nil
		})
		s.find(kindOIDC, f, key, orElse(strings.Join(names, ", "), "another provider"))
	}
	for _, block := range []struct {
		key  string
		on   func(*yaml.Node) bool
		kind moveKind
		name string
	}{
		{"oidc_config", enabledIn(false), kindOIDC, "another provider"},
		{"cas_config", enabledIn(true), kindCAS, ""},
		{"saml2_config", isSAML, kindSAML, ""},
		{"jwt_config", enabledIn(false), kindJWT, ""},
		{"ldap_config", enabledIn(false), kindPasswordModule, "LDAP"},
	} {
		if f, key, value := c.get(block.key); block.on(value) {
			s.find(block.kind, f, key, block.name)
		}
	}
	s.readModules(c)
	for _, setting := range []struct {
		path []string
		kind moveKind
	}{
		{[]string{"login_via_existing_session", "enabled"}, kindExisting},
		{[]string{"enable_3pid_changes"}, kindThreepid},
	} {
		if f, key, value := c.get(setting.path...); truthy(value) {
			s.find(setting.kind, f, key, "")
		}
	}
}

func (s *MoveSettings) readModules(c *Config) {
	for _, setting := range []string{"password_providers", "modules"} {
		f, key, list := c.get(setting)
		for _, name := range namesOf(list, func(entry *yaml.Node) *yaml.Node { _, module := lookup(entry, "module"); return module }) {
			checks := slices.ContainsFunc(passwordModules, func(p string) bool { return strings.HasPrefix(name, p) })
			if checks || setting == "password_providers" {
				s.find(kindPasswordModule, f, key, "the module "+name)
			} else {
				s.find(kindModule, f, key, name)
			}
		}
	}
}

// namesOf returns a text of each entry of a list.
func namesOf(list *yaml.Node, name func(entry *yaml.Node) *yaml.Node) []string {
	if list = deref(list); list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var names []string
	for _, entry := range list.Content {
		if text := stringOf(name(entry)); text != "" {
			names = append(names, text)
		}
	}
	return names
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
