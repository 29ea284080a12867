package synapsedb

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

// sessions maps the devices and the tokens of a user. All tokens of a device are one session, each token without a
// device is one of its own.
func (m *mapper) sessions(name string, raw Raw) (sessions []move.Session) {
	byDevice := m.devices(name, raw)
	chains := newChains(raw.Sides[sideRefresh], raw.Sides[sideAccess], m.now)
	for _, c := range m.candidates(name, chains, raw.Sides[sideAccess], byDevice) {
		if c.device == "" {
			m.findings.Note(noDevice, shown(name))
			c.token.Pair, c.token.Generation, c.token.Parent = 1, 0, model.TokenHash{}
			sessions = append(sessions, move.Session{LastActiveAt: c.seen, EndsAt: c.end, Tokens: []move.Token{c.token}})
			continue
		}
		d := byDevice[c.device]
		d.candidates = append(d.candidates, c)
	}
	for _, d := range byDevice {
		if len(d.candidates) == 0 {
			m.findings.Note(idleDevice, shown(name)+" "+shown(d.session.DeviceID))
			continue
		}
		sessions = append(sessions, m.finished(name, d))
	}
	slices.SortFunc(sessions, func(a, b move.Session) int {
		return cmp.Or(cmp.Compare(a.DeviceID, b.DeviceID), bytes.Compare(a.Tokens[0].Hash[:], b.Tokens[0].Hash[:]))
	})
	return sessions
}

// device is a session that is being put together.
type device struct {
	session    move.Session
	candidates []candidate
}

// devices maps the devices that people sign in on.
func (m *mapper) devices(name string, raw Raw) map[string]*device {
	asleep := map[string]bool{}
	for _, r := range raw.Sides[sideDehydrated] {
		id, _ := r.text(deviceID)
		asleep[id] = true
	}
	byID := map[string]*device{}
	for _, r := range raw.Sides[sideDevices] {
		id, _ := r.text(deviceID)
		example := shown(name) + " " + shown(id)
		switch {
		case r.is(deviceHidden):
			m.findings.Note(hiddenDevice, example)
		case id == "guest_device":
			m.findings.Note(guestDevice, example)
		case asleep[id]:
			m.findings.Note(dehydratedDevice, example)
		case model.CheckDeviceID(id) != nil || !utf8.ValidString(id):
			m.findings.Note(badDevice, example)
		default:
			byID[id] = &device{session: move.Session{
				DeviceID: id, DeviceName: m.deviceName(example, r), LastActiveAt: m.past(name, r, deviceSeen), LastIP: address(r, deviceIP), UserAgent: agent(r, deviceAgent),
			}}
		}
	}
	return byID
}

// deviceName cuts a name to the length that Synapse takes, and to what can be shown.
func (m *mapper) deviceName(example string, r row) string {
	was, _ := r.text(deviceName)
	shownName := model.PlainText(strings.ToValidUTF8(was, ""))
	if runes := []rune(shownName); len(runes) > bound.DeviceName {
		shownName = strings.TrimSpace(string(runes[:bound.DeviceName]))
	}
	if shownName != was {
		m.findings.Note(cutName, example)
	}
	return shownName
}

// address reads an IP address, and drops what is none, such as Synapse's "-".
func address(r row, i int) string {
	text, _ := r.text(i)
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return ip.WithZone("").Unmap().String()
}

func agent(r row, i int) string {
	text, _ := r.text(i)
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	if len(text) > bound.ClientText {
		text = strings.ToValidUTF8(text[:bound.ClientText], "")
	}
	return text
}

// candidate is a token that goes on, and where it belongs.
type candidate struct {
	device string
	token  move.Token
	// group tells pairs apart, and orders them.
	group pairOf
	seen  time.Time
	// end is when its session ends, zero for never.
	end time.Time
}

// pairOf is the pair of a refresh token and the access tokens that were given out with it, or an access token without
// one.
type pairOf struct {
	refresh bool
	id      int64
	row     int
}

// candidates are the tokens of a user that Synapse takes and that have a place here.
func (m *mapper) candidates(name string, chains *chains, accesses []row, known map[string]*device) (found []candidate) {
	taken := map[model.TokenHash]bool{}
	add := func(c candidate) bool {
		if c.device != "" && known[c.device] == nil {
			m.findings.Note(lostDevice, shown(name)+" "+shown(c.device))
			return false
		}
		if taken[c.token.Hash] { // Synapse keeps none twice
			return false
		}
		taken[c.token.Hash] = true
		found = append(found, c)
		return true
	}
	minting := map[model.TokenHash]string{} // the refresh tokens of which others may follow, with their devices
	for i := range chains.rows {
		if c, ok := m.refreshToken(name, i, chains); ok && add(c) && c.token.Generation == 0 {
			minting[c.token.Hash] = c.device
		}
	}
	for i, r := range accesses {
		if c, ok := m.accessToken(name, i, r, chains); ok {
			add(c)
		}
	}
	for i, c := range found {
		// What minted it may have found no place.
		if device, has := minting[c.token.Parent]; c.token.Parent != (model.TokenHash{}) && (!has || device != c.device) {
			found[i].token.Parent, found[i].token.Generation = model.TokenHash{}, 0
		}
	}
	return found
}

func (m *mapper) accessToken(name string, at int, r row, chains *chains) (c candidate, ok bool) {
	token, _ := r.text(accessToken)
	puppets, _ := r.text(accessPuppets)
	ends := r.end(accessExpiry, m.now)
	switch {
	case puppets != "":
		m.findings.Note(impersonation, shown(name))
		return c, false
	case token == "" || len(token) > bound.ImportedToken:
		m.findings.Note(badToken, shown(name))
		return c, false
	}
	// On a device one that has expired comes along: its app, which slept, is told to renew it or to sign in again, and keeps
	// its keys. To one that is not known it would be signed out for good.
	if c.device, _ = r.text(accessDevice); ends.ended && c.device == "" {
		m.findings.Note(expiredAccess, shown(name))
		return c, false
	}
	c.seen = m.past(name, r, accessValidated)
	c.token = move.Token{Hash: model.HashToken(token), ExpiresAt: ends.at, Used: r.is(accessUsed)}
	c.group.id, _ = r.number(accessID)
	c.group.row = at
	if i, has := chains.of(r); has && c.device != "" && chains.device(i) == c.device {
		c.group = pairOf{refresh: true, id: chains.id(i), row: i}
		c.token.Generation, c.token.Parent = chains.generation(i)
		c.end = chains.end(i)
	}
	return c, true
}

func (m *mapper) refreshToken(name string, i int, chains *chains) (c candidate, ok bool) {
	r := chains.rows[i]
	token, _ := r.text(refreshToken)
	ends := chains.ends(i)
	c.device = chains.device(i)
	switch {
	case token == "" || len(token) > bound.ImportedToken:
		m.findings.Note(badToken, shown(name))
		return c, false
	case c.device == "":
		m.findings.Note(lostDevice, shown(name))
		return c, false
	case !chains.taken(i):
		m.findings.Note(spentRefresh, shown(name))
		return c, false
	}
	c.token = move.Token{Hash: model.HashToken(token), Refresh: true, ExpiresAt: ends.at}
	c.token.Generation, c.token.Parent = chains.generation(i)
	c.group = pairOf{refresh: true, id: chains.id(i), row: i}
	c.end = chains.end(i)
	return c, true
}

// finished puts a session together: the tokens in the order of their pairs, the pairs of older generations first.
func (m *mapper) finished(name string, d *device) move.Session {
	slices.SortFunc(d.candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.token.Generation, b.token.Generation), cmp.Compare(a.group.id, b.group.id), cmp.Compare(a.group.row, b.group.row),
			compareBool(a.group.refresh, b.group.refresh), compareBool(a.token.Refresh, b.token.Refresh), bytes.Compare(a.token.Hash[:], b.token.Hash[:]))
	})
	s := d.session
	var last pairOf
	pair, open, hasAccess := int64(0), false, false
	for i, c := range d.candidates {
		if i == 0 || c.group != last || hasAccess && !c.token.Refresh { // a pair has one access token
			pair++
			last, hasAccess = c.group, false
		}
		hasAccess = hasAccess || !c.token.Refresh
		c.token.Pair = pair
		s.Tokens = append(s.Tokens, c.token)
		if c.seen.After(s.LastActiveAt) {
			s.LastActiveAt = c.seen
		}
		open = open || c.end.IsZero()
		if c.end.After(s.EndsAt) {
			s.EndsAt = c.end
		}
	}
	if open && !s.EndsAt.IsZero() {
		m.findings.Note(looseEnd, shown(name)+" "+shown(s.DeviceID))
		s.EndsAt = time.Time{}
	}
	return s
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
