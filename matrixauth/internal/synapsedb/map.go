package synapsedb

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

// mapper maps the users of one run.
type mapper struct {
	server   string
	now      time.Time
	findings *move.Findings
	// spellings are the names that hold more than lower-case ASCII, by how they look without case: they are few, and come
	// before what differs from them by case only, as capitals do in ASCII.
	spellings map[string][]string
}

func newMapper(server string, now time.Time, findings *move.Findings) *mapper {
	return &mapper{server: server, now: now, findings: findings, spellings: map[string][]string{}}
}

// finish notes what is counted over all users.
func (m *mapper) finish() {
	for _, folded := range slices.Sorted(maps.Keys(m.spellings)) {
		if names := m.spellings[folded]; len(names) > 1 {
			m.findings.NoteMany(caseTwins, int64(len(names)), shown(strings.Join(names, " ")))
		}
	}
}

// account returns the account of a user, and false if it cannot come. It notes what does not come along, or comes changed.
func (m *mapper) account(raw Raw) (a move.Account, comes bool) {
	u := raw.User
	name, _ := u.text(userName)
	localpart, server, whole := strings.Cut(strings.TrimPrefix(name, "@"), ":")
	note := func(kind move.Kind) { m.findings.Note(kind, shown(name)) }
	service, _ := u.text(userAppservice)
	switch {
	case !strings.HasPrefix(name, "@") || !whole || localpart == "" || len(name) > bound.MatrixID || !clean(name):
		note(malformedUser)
		return a, false
	case server != m.server:
		note(foreignUser)
		return a, false
	case service != "":
		note(appservice)
		return a, false
	case u.is(userGuest):
		note(guest)
		return a, false
	}
	m.rememberSpelling(name)
	a = move.Account{Name: name, Localpart: localpart, CreatedAt: m.past(name, u, userCreation)}
	if u.is(userDeactivated) {
		note(deactivated)
		a.Deactivated, a.Erased = true, len(raw.Sides[sideErased]) > 0
		return a, true
	}
	a.Admin, a.Locked = u.is(userAdmin), u.is(userLocked)
	approved, known := u.truth(userApproved)
	a.Waiting = known && !approved
	for _, state := range []struct {
		kind move.Kind
		is   bool
	}{{locked, a.Locked}, {suspended, u.is(userSuspended)}, {shadowBanned, u.is(userShadowBanned)}, {waiting, a.Waiting}} {
		if state.is {
			note(state.kind)
		}
	}
	a.PasswordHash = m.password(name, u)
	a.Terms = m.terms(name, u)
	a.Emails, a.Others = m.threepids(name, raw.Sides[sideThreepids])
	a.Links = m.links(name, raw.Sides[sideExternal])
	a.Sessions = m.sessions(name, raw)
	return a, true
}

// rememberSpelling remembers a name if another may differ from it by case only.
func (m *mapper) rememberSpelling(name string) {
	folded := strings.ToLower(name)
	if _, known := m.spellings[folded]; known || folded != name || strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		m.spellings[folded] = append(m.spellings[folded], name)
	}
}

// clean reports whether a text may be an id: it goes through JSON and over terminals as it is.
func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || r == utf8.RuneError })
}

// id reads an id of at most as many bytes as any has; ok reports whether it can be one.
func id(r row, i int) (s string, ok bool) {
	s, _ = r.text(i)
	return s, s != "" && len(s) <= bound.Identifier && clean(s)
}

func (m *mapper) past(name string, r row, i int) time.Time {
	at, odd := r.past(i, m.now)
	if odd {
		m.findings.Note(oddTime, shown(name))
	}
	return at
}

// mostCost is the highest cost of bcrypt that package password verifies: more keeps a machine busy for long.
const mostCost = 16

func (m *mapper) password(name string, u row) string {
	hash, has := u.text(userPasswordHash)
	cost, isBcrypt := bcryptCost(hash)
	switch {
	case !has:
		m.findings.Note(noPassword, shown(name))
	case hash == "":
		m.findings.Note(emptyPassword, shown(name))
	case !isBcrypt:
		m.findings.Note(foreignHash, shown(name))
	case cost > mostCost:
		m.findings.Note(slowHash, shown(name))
	default:
		return hash
	}
	return ""
}

// bcryptCost reads the cost of a hash such as "$2b$12$", 22 characters of salt and 31 of hash.
func bcryptCost(hash string) (cost int, ok bool) {
	if len(hash) != 60 || hash[0] != '$' || hash[3] != '$' || hash[6] != '$' {
		return 0, false
	}
	switch hash[1:3] {
	case "2a", "2b", "2y":
	default:
		return 0, false
	}
	tens, ones := hash[4]-'0', hash[5]-'0'
	if tens > 9 || ones > 9 {
		return 0, false
	}
	for _, c := range []byte(hash[7:]) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '/') {
			return 0, false
		}
	}
	cost = int(tens)*10 + int(ones)
	return cost, 4 <= cost && cost <= 31
}

func (m *mapper) terms(name string, u row) []move.Terms {
	version, _ := u.text(userConsentVersion)
	if version == "" {
		return nil
	}
	if !clean(version) || utf8.RuneCountInString(version) > bound.TermsVersion {
		m.findings.Note(badTerms, shown(name))
		return nil
	}
	return []move.Terms{{Version: version, AcceptedAt: m.past(name, u, userConsentAt)}}
}

func mapRegistrationToken(r row, now time.Time, findings *move.Findings) (token move.RegistrationToken, comes bool) {
	text, _ := r.text(registrationToken)
	letters := func(r rune) bool {
		return !(r < utf8.RuneSelf && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~", r)))
	}
	if text == "" || len(text) > bound.RegistrationToken || strings.ContainsFunc(text, letters) {
		findings.Note(badRegistration, "")
		return token, false
	}
	token.Token = text
	ends := r.end(registrationExpiry, now)
	if ends.ended {
		findings.Note(expiredRegistration, "")
		return token, false
	}
	token.ExpiresAt = ends.at
	// Those that are under way are of people who register at Synapse while it is left.
	if used, _ := r.number(registrationCompleted); used > 0 {
		token.Used = used
	}
	if r[registrationUses] != nil {
		uses, _ := r.number(registrationUses)
		if uses <= token.Used {
			findings.Note(usedUpRegistration, "")
			return token, false
		}
		token.Uses = &uses
	}
	return token, true
}
