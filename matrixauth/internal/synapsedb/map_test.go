package synapsedb

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

// user is a row of a user with some columns set.
func user(name any, set map[int]any) Raw {
	r := row{name, aHash, int64(1600000000), int64(0), int64(0), int64(0), false, false, nil, nil, nil, nil, nil}
	for i, value := range set {
		r[i] = value
	}
	return Raw{User: r}
}

// with adds rows of another table.
func (raw Raw) with(side int, rows ...row) Raw {
	raw.Sides[side] = append(raw.Sides[side], rows...)
	return raw
}

const alice = "@alice:example.org"

func phone(id any) row { return row{alice, id, "Phone", nil, nil, nil, false} }

func access(id int64, device any, token string, set map[int]any) row {
	r := row{alice, id, device, token, nil, nil, nil, nil, nil}
	for i, value := range set {
		r[i] = value
	}
	return r
}

func refresh(id int64, token string, next, expiry, end any) row {
	return row{alice, id, "PHONE", token, next, expiry, end}
}

func mapped(raw Raw) (a move.Account, comes bool, codes []string) {
	var findings move.Findings
	a, comes = newMapper(server, now, &findings).account(raw)
	for _, f := range findings.All() {
		codes = append(codes, fmt.Sprint(f.Code, " ", f.Count))
	}
	return a, comes, codes
}

// TestOddUsers: no row of a user stops anything; each that cannot come, or comes changed, is told.
func TestOddUsers(t *testing.T) {
	long := strings.Repeat("x", 255)
	for name, c := range map[string]struct {
		raw   Raw
		comes bool
		found []string
	}{
		"usual":                   {user(alice, nil), true, nil},
		"capitals":                {user("@Alice:example.org", nil), true, nil},
		"odd localpart":           {user("@a b=/ü:example.org", nil), true, nil},
		"another server":          {user("@alice:example.com", nil), false, []string{"foreign_user 1"}},
		"server that ends so":     {user("@alice:x:example.org", nil), false, []string{"foreign_user 1"}},
		"no id":                   {user("alice", nil), false, []string{"malformed_user 1"}},
		"no localpart":            {user("@:example.org", nil), false, []string{"malformed_user 1"}},
		"NULL":                    {user(nil, nil), false, []string{"malformed_user 1"}},
		"a number":                {user(int64(7), nil), false, []string{"malformed_user 1"}},
		"over 255 bytes":          {user("@"+long+":example.org", nil), false, []string{"malformed_user 1"}},
		"NUL":                     {user("@a\x00:example.org", nil), false, []string{"malformed_user 1"}},
		"no UTF-8":                {user("@a\xff:example.org", nil), false, []string{"malformed_user 1"}},
		"guest":                   {user(alice, map[int]any{userGuest: int64(1)}), false, []string{"guest 1"}},
		"application service":     {user(alice, map[int]any{userAppservice: "irc"}), false, []string{"appservice_user 1"}},
		"deactivated as a number": {user(alice, map[int]any{userDeactivated: int64(1)}), true, []string{"deactivated_user 1"}},
		"deactivated as text":     {user(alice, map[int]any{userDeactivated: "true"}), true, []string{"deactivated_user 1"}},
		"locked as text":          {user(alice, map[int]any{userLocked: "t"}), true, []string{"locked_user 1"}},
		"locked NULL":             {user(alice, map[int]any{userLocked: nil}), true, nil},
		"suspended":               {user(alice, map[int]any{userSuspended: true}), true, []string{"suspended_user 1"}},
		"banned in secret":        {user(alice, map[int]any{userShadowBanned: true}), true, []string{"shadow_banned_user 1"}},
		"not approved":            {user(alice, map[int]any{userApproved: false}), true, []string{"waiting_user 1"}},
		"password NULL":           {user(alice, map[int]any{userPasswordHash: nil}), true, []string{"no_password 1"}},
		"password empty":          {user(alice, map[int]any{userPasswordHash: ""}), true, []string{"empty_password 1"}},
		"password of md5":         {user(alice, map[int]any{userPasswordHash: "$1$x$y"}), true, []string{"password_not_bcrypt 1"}},
		"password cut":            {user(alice, map[int]any{userPasswordHash: aHash[:59]}), true, []string{"password_not_bcrypt 1"}},
		"password of 2x":          {user(alice, map[int]any{userPasswordHash: "$2x" + aHash[3:]}), true, []string{"password_not_bcrypt 1"}},
		"password of 2y":          {user(alice, map[int]any{userPasswordHash: "$2y" + aHash[3:]}), true, nil},
		"password of cost 16":     {user(alice, map[int]any{userPasswordHash: "$2b$16" + aHash[6:]}), true, nil},
		"password of cost 17":     {user(alice, map[int]any{userPasswordHash: "$2b$17" + aHash[6:]}), true, []string{"password_too_slow 1"}},
		"password of cost 31":     {user(alice, map[int]any{userPasswordHash: "$2b$31" + aHash[6:]}), true, []string{"password_too_slow 1"}},
		"time absurd":             {user(alice, map[int]any{userCreation: int64(1) << 60}), true, []string{"odd_time 1"}},
		"time to come":            {user(alice, map[int]any{userCreation: now.Add(48 * time.Hour).Unix()}), true, []string{"odd_time 1"}},
		"time before Matrix":      {user(alice, map[int]any{userCreation: int64(17)}), true, []string{"odd_time 1"}},
		"time in words":           {user(alice, map[int]any{userCreation: "yesterday"}), true, []string{"odd_time 1"}},
		"time zero":               {user(alice, map[int]any{userCreation: int64(0)}), true, nil},
		"time NULL":               {user(alice, map[int]any{userCreation: nil}), true, nil},
		"terms too long":          {user(alice, map[int]any{userConsentVersion: strings.Repeat("v", 65)}), true, []string{"terms_unusable 1"}},
		"mail differs in case": {user(alice, nil).with(sideThreepids, row{alice, "email", "a@example.com", int64(0), int64(1600000009000)}, row{alice, "email", "A@Example.com", int64(0), int64(1600000001000)}),
			true, []string{"email_twice 1"}},
		"mail is none":           {user(alice, nil).with(sideThreepids, row{alice, "email", "a", int64(0), int64(0)}), true, []string{"email_unusable 1"}},
		"third-party id is none": {user(alice, nil).with(sideThreepids, row{alice, "", "a\x00", int64(0), int64(0)}), true, []string{"threepid_unusable 1"}},
		"external id is none":    {user(alice, nil).with(sideExternal, row{alice, "saml", ""}), true, []string{"external_id_unusable 1"}},
		"earlier delegation":     {user(alice, nil).with(sideExternal, row{alice, "oauth-delegated", "x"}), true, []string{"external_id_of_delegation 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, comes, found := mapped(c.raw)
			if comes != c.comes {
				t.Errorf("it comes: %v", comes)
			}
			if diff := cmp.Diff(c.found, found); diff != "" {
				t.Errorf("what is told (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMapsUsers: what comes along is what the rows mean, however they are written.
func TestMapsUsers(t *testing.T) {
	raw := user("@Old=Name:example.org", map[int]any{
		userCreation: "1600000000000", userAdmin: "1", userLocked: "t", userApproved: int64(0), userConsentVersion: "1.0", userConsentAt: int64(1600000000),
	}).with(sideThreepids, row{alice, "email", "a@example.com", int64(0), int64(1600000009000)}, row{alice, "email", "A@Example.com", int64(1600000001000), nil},
		row{alice, "msisdn", "4917", nil, "x"}).with(sideExternal, row{alice, "saml", "b"}, row{alice, "cas", "c"})
	at := time.Unix(1600000000, 0).UTC()
	want := move.Account{
		Name: "@Old=Name:example.org", Localpart: "Old=Name", CreatedAt: at, Admin: true, Locked: true, Waiting: true, PasswordHash: aHash,
		Emails: []move.Address{{Address: "A@Example.com", AddedAt: at.Add(time.Second)}}, Others: []move.Threepid{{Medium: "msisdn", Address: "4917"}},
		Links: []move.Link{{Provider: "cas", Subject: "c"}, {Provider: "saml", Subject: "b"}}, Terms: []move.Terms{{Version: "1.0", AcceptedAt: at}},
	}
	got, _, _ := mapped(raw)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	raw.User[userDeactivated] = true
	raw.Sides[sideErased] = []row{{alice}}
	raw.Sides[sideDevices], raw.Sides[sideAccess] = []row{phone("PHONE")}, []row{access(1, "PHONE", "syt", nil)}
	want = move.Account{Name: "@Old=Name:example.org", Localpart: "Old=Name", CreatedAt: at, Deactivated: true, Erased: true}
	got, _, _ = mapped(raw)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deactivated (-want +got):\n%s", diff)
	}
}

// TestNamesThatDifferByCase finds them wherever they stand in the order of bytes.
func TestNamesThatDifferByCase(t *testing.T) {
	var findings move.Findings
	m := newMapper(server, now, &findings)
	for _, name := range []string{"@ALICE", "@Alice", "@Bob", "@alice", "@carol"} {
		m.account(user(name+":example.org", nil))
	}
	m.finish()
	all := findings.All()
	if len(all) != 1 || all[0].Code != "names_differ_by_case" || all[0].Count != 3 || all[0].Examples[0] != "@ALICE:example.org @Alice:example.org @alice:example.org" {
		t.Errorf("it found %+v", all)
	}
}

// told is a token in short: its name, generation, pair, parent, and when it ends.
func told(s move.Session, names ...string) (all []string) {
	by := map[model.TokenHash]string{{}: "-"}
	for _, name := range names {
		by[model.HashToken(name)] = name
	}
	for _, token := range s.Tokens {
		text := fmt.Sprintf("%s gen %d pair %d of %s", by[token.Hash], token.Generation, token.Pair, by[token.Parent])
		if token.Refresh {
			text += " refresh"
		}
		if token.Used {
			text += " used"
		}
		if !token.ExpiresAt.IsZero() {
			text += fmt.Sprint(" for ", token.ExpiresAt.Sub(now))
		}
		all = append(all, text)
	}
	return all
}

func in(d time.Duration) int64 { return now.Add(d).UnixMilli() }

// TestRefreshChains takes exactly those refresh tokens along that Synapse takes, by its rule: no access token of the
// next pair was used, and the next refresh token has no next. What has expired comes as such: to its app, which may have slept
// through the move, it must not be unknown, as it would forget its keys then.
func TestRefreshChains(t *testing.T) {
	of := func(id int64) map[int]any { return map[int]any{accessRefresh: id} }
	usedOf := func(id int64) map[int]any { return map[int]any{accessRefresh: id, accessUsed: int64(1)} }
	for name, c := range map[string]struct {
		refreshes, accesses []row
		ends                time.Duration
		want, found         []string
	}{
		"fresh": {[]row{refresh(1, "r1", nil, nil, nil)}, []row{access(1, "PHONE", "a1", usedOf(1))}, 0,
			[]string{"a1 gen 0 pair 1 of - used", "r1 gen 0 pair 1 of - refresh"}, nil},
		"answer lost": {[]row{refresh(1, "r1", int64(2), nil, nil), refresh(2, "r2", nil, nil, nil)}, []row{access(1, "PHONE", "a1", usedOf(1)), access(2, "PHONE", "a2", of(2))}, 0,
			[]string{"a1 gen 0 pair 1 of - used", "r1 gen 0 pair 1 of - refresh", "a2 gen 1 pair 2 of r1", "r2 gen 1 pair 2 of r1 refresh"}, nil},
		"answer arrived": {[]row{refresh(1, "r1", int64(2), nil, nil), refresh(2, "r2", nil, nil, nil)}, []row{access(2, "PHONE", "a2", usedOf(2))}, 0,
			[]string{"a2 gen 0 pair 1 of - used", "r2 gen 0 pair 1 of - refresh"}, []string{"spent_refresh_token 1"}},
		"refreshed twice": {[]row{refresh(1, "r1", int64(2), nil, nil), refresh(2, "r2", int64(3), nil, nil), refresh(3, "r3", nil, nil, nil)}, []row{access(3, "PHONE", "a3", of(3))}, 0,
			[]string{"r2 gen 0 pair 1 of - refresh", "a3 gen 1 pair 2 of r2", "r3 gen 1 pair 2 of r2 refresh"}, []string{"spent_refresh_token 1"}},
		"next is missing": {[]row{refresh(1, "r1", int64(9), nil, nil)}, nil, 0, []string{"r1 gen 0 pair 1 of - refresh"}, nil},
		"its own next":    {[]row{refresh(1, "r1", int64(1), nil, nil)}, []row{access(1, "PHONE", "a1", of(1))}, 0, []string{"a1 gen 0 pair 1 of -"}, []string{"spent_refresh_token 1"}},
		"expired":         {[]row{refresh(1, "r1", nil, in(-time.Second), nil)}, []row{access(1, "PHONE", "a1", of(1))}, 0, []string{"a1 gen 0 pair 1 of -", "r1 gen 0 pair 1 of - refresh for -1s"}, nil},
		"session is over": {[]row{refresh(1, "r1", nil, nil, in(-time.Second))}, nil, -time.Second, []string{"r1 gen 0 pair 1 of - refresh for -1s"}, nil},
		"ends": {[]row{refresh(1, "r1", nil, in(2*time.Hour), in(time.Hour))}, []row{access(1, "PHONE", "a1", map[int]any{accessRefresh: int64(1), accessExpiry: in(time.Minute)})}, time.Hour,
			[]string{"a1 gen 0 pair 1 of - for 1m0s", "r1 gen 0 pair 1 of - refresh for 1h0m0s"}, nil},
		"access token expired": {[]row{refresh(1, "r1", nil, nil, nil)}, []row{access(1, "PHONE", "a1", map[int]any{accessRefresh: int64(1), accessExpiry: in(-1)})}, 0,
			[]string{"a1 gen 0 pair 1 of - for -1ms", "r1 gen 0 pair 1 of - refresh"}, nil},
		"nothing but an expired one": {nil, []row{access(1, "PHONE", "a1", map[int]any{accessExpiry: in(-1)})}, 0, []string{"a1 gen 0 pair 1 of - for -1ms"}, nil},
		"beside one without": {[]row{refresh(1, "r1", nil, nil, in(time.Hour))}, []row{access(7, "PHONE", "plain", nil), access(8, "PHONE", "other", nil)}, 0,
			[]string{"r1 gen 0 pair 1 of - refresh for 1h0m0s", "plain gen 0 pair 2 of -", "other gen 0 pair 3 of -"}, []string{"session_end_of_some_tokens 1"}},
		"predecessor expired": {[]row{refresh(1, "r1", int64(2), in(-1), nil), refresh(2, "r2", nil, nil, nil)}, nil, 0,
			[]string{"r1 gen 0 pair 1 of - refresh for -1ms", "r2 gen 0 pair 2 of - refresh"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, found := mapped(user(alice, nil).with(sideDevices, phone("PHONE")).with(sideRefresh, c.refreshes...).with(sideAccess, c.accesses...))
			var got []string
			var ends time.Duration
			if len(a.Sessions) > 0 {
				got = told(a.Sessions[0], "a1", "a2", "a3", "r1", "r2", "r3", "plain", "other")
				if at := a.Sessions[0].EndsAt; !at.IsZero() {
					ends = at.Sub(now)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" || ends != c.ends {
				t.Errorf("it ends after %v; the tokens (-want +got):\n%s", ends, diff)
			}
			if diff := cmp.Diff(c.found, found); diff != "" {
				t.Errorf("what is told (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOddDevices: each device and token that cannot come is told, and the others come.
func TestOddDevices(t *testing.T) {
	token := func(device any, set map[int]any) row { return access(1, device, "syt", set) }
	for name, c := range map[string]struct {
		raw      Raw
		sessions int
		found    []string
	}{
		"without a token":         {Raw{}.with(sideDevices, phone("A")), 0, []string{"device_without_token 1"}},
		"token without a device":  {Raw{}.with(sideAccess, token(nil, nil)), 1, []string{"token_without_device 1"}},
		"token of an empty one":   {Raw{}.with(sideAccess, token("", nil)), 1, []string{"token_without_device 1"}},
		"token of a missing one":  {Raw{}.with(sideAccess, token("A", nil)), 0, []string{"token_of_missing_device 1"}},
		"hidden":                  {Raw{}.with(sideDevices, row{alice, "A", nil, nil, nil, nil, int64(1)}), 0, []string{"hidden_device 1"}},
		"hidden NULL":             {Raw{}.with(sideDevices, row{alice, "A", nil, nil, nil, nil, nil}).with(sideAccess, token("A", nil)), 1, nil},
		"of a guest":              {Raw{}.with(sideDevices, phone("guest_device")), 0, []string{"guest_device 1"}},
		"dehydrated":              {Raw{}.with(sideDevices, phone("A")).with(sideDehydrated, row{alice, "A"}).with(sideAccess, token("A", nil)), 0, []string{"token_of_missing_device 1", "dehydrated_device 1"}},
		"id empty":                {Raw{}.with(sideDevices, phone("")), 0, []string{"device_id_unusable 1"}},
		"id over 255 bytes":       {Raw{}.with(sideDevices, phone(strings.Repeat("A", 256))), 0, []string{"device_id_unusable 1"}},
		"id with NUL":             {Raw{}.with(sideDevices, phone("A\x00")), 0, []string{"device_id_unusable 1"}},
		"id that is odd":          {Raw{}.with(sideDevices, phone("a b/+ü")).with(sideAccess, token("a b/+ü", nil)), 1, nil},
		"name too long":           {Raw{}.with(sideDevices, row{alice, "A", strings.Repeat("ü", 101), nil, nil, nil, nil}).with(sideAccess, token("A", nil)), 1, []string{"device_name_cut 1"}},
		"name with NUL":           {Raw{}.with(sideDevices, row{alice, "A", "x\x00\xff", nil, nil, nil, nil}).with(sideAccess, token("A", nil)), 1, []string{"device_name_cut 1"}},
		"impersonation":           {Raw{}.with(sideAccess, token(nil, map[int]any{accessPuppets: "@bob:example.org"})), 0, []string{"impersonation_token 1"}},
		"expired":                 {Raw{}.with(sideAccess, token(nil, map[int]any{accessExpiry: in(-1)})), 0, []string{"expired_access_token 1"}},
		"expired at zero":         {Raw{}.with(sideAccess, token(nil, map[int]any{accessExpiry: int64(0)})), 0, []string{"expired_access_token 1"}},
		"expires in no number":    {Raw{}.with(sideAccess, token(nil, map[int]any{accessExpiry: "soon"})), 0, []string{"expired_access_token 1"}},
		"token empty":             {Raw{}.with(sideAccess, access(1, nil, "", nil)), 0, []string{"token_unusable 1"}},
		"token too long":          {Raw{}.with(sideAccess, access(1, nil, strings.Repeat("x", bound.ImportedToken+1), nil)), 0, []string{"token_unusable 1"}},
		"refresh without device":  {Raw{}.with(sideRefresh, row{alice, int64(1), "", "syr", nil, nil, nil}), 0, []string{"token_of_missing_device 1"}},
		"address is none":         {Raw{}.with(sideDevices, row{alice, "A", "x", "never", "-", "agent\x00", nil}).with(sideAccess, token("A", nil)), 1, []string{"odd_time 1"}},
		"last seen in seconds":    {Raw{}.with(sideDevices, row{alice, "A", "x", int64(1600000000), "::ffff:192.0.2.1", nil, nil}).with(sideAccess, token("A", nil)), 1, nil},
		"two tokens of one":       {Raw{}.with(sideDevices, phone("A")).with(sideAccess, access(1, "A", "x", nil), access(2, "A", "y", nil)), 1, nil},
		"two tokens without one":  {Raw{}.with(sideAccess, access(1, nil, "x", nil), access(2, nil, "y", nil)), 2, []string{"token_without_device 2"}},
		"refresh of another's id": {Raw{}.with(sideAccess, token(nil, map[int]any{accessRefresh: int64(99)})), 1, []string{"token_without_device 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.raw.User = user(alice, nil).User
			a, comes, found := mapped(c.raw)
			if !comes || len(a.Sessions) != c.sessions {
				t.Errorf("it comes: %v, with the sessions %+v", comes, a.Sessions)
			}
			if diff := cmp.Diff(c.found, found); diff != "" {
				t.Errorf("what is told (-want +got):\n%s", diff)
			}
			judge(t, a)
		})
	}
}

// judge holds an account against what our store asks of it.
func judge(t *testing.T, a move.Account) {
	t.Helper()
	seen := map[model.TokenHash]bool{}
	devices := map[string]bool{}
	for _, s := range a.Sessions {
		if s.DeviceID != "" && (devices[s.DeviceID] || model.CheckDeviceID(s.DeviceID) != nil) {
			t.Errorf("device %q is twice, or none", s.DeviceID)
		}
		devices[s.DeviceID] = true
		if len(s.Tokens) == 0 || s.DeviceID == "" && len(s.Tokens) != 1 {
			t.Errorf("session %q has %d tokens", s.DeviceID, len(s.Tokens))
		}
		if model.PlainText(s.DeviceName) != s.DeviceName || len([]rune(s.DeviceName)) > bound.DeviceName || len(s.UserAgent) > bound.ClientText {
			t.Errorf("it is named %q, by %q", s.DeviceName, s.UserAgent)
		}
		type half struct {
			pair    int64
			refresh bool
		}
		halves, last := map[half]bool{}, int64(0)
		minting := map[model.TokenHash]int64{}
		for _, token := range s.Tokens {
			if token.Refresh {
				minting[token.Hash] = token.Generation
			}
		}
		for _, token := range s.Tokens {
			if seen[token.Hash] {
				t.Error("a token is twice")
			}
			seen[token.Hash] = true
			this := half{token.Pair, token.Refresh}
			if halves[this] || token.Pair < last || token.Pair > last+1 {
				t.Errorf("pair %d after %d", token.Pair, last)
			}
			halves[this], last = true, token.Pair
			generation, known := minting[token.Parent]
			if hasParent := token.Parent != (model.TokenHash{}); hasParent != (token.Generation == 1) || hasParent && (!known || generation != 0) || token.Generation > 1 {
				t.Errorf("a token of generation %d, with a parent %v of generation %d", token.Generation, known, generation)
			}
			if s.DeviceID == "" && !token.ExpiresAt.IsZero() && token.ExpiresAt.Before(now) {
				t.Error("a token without a device comes that has expired")
			}
		}
	}
}

// chaos makes rows of anything. pick returns a number below n.
func chaos(pick func(n int) int) Raw {
	values := []any{nil, true, false, int64(0), int64(1), int64(2), int64(3), int64(-1), int64(1 << 62), 1.5, "", "1", "2", "x", "A", "B", "PHONE", "@bob:example.org", alice,
		"a\x00b", "\xff", "email", "a@example.com", "A@example.com", aHash, "t", "true", in(time.Hour), in(-time.Hour), int64(1600000000), strings.Repeat("ü", 300), "192.0.2.1", "guest_device"}
	fill := func(t table) row {
		r := make(row, len(t.columns))
		for i := range r {
			r[i] = values[pick(len(values))]
		}
		r[0] = alice
		return r
	}
	raw := Raw{User: fill(users)}
	for side := range sides {
		for range pick(7) {
			r := fill(sides[side].table)
			switch { // often enough something that fits together
			case side == sideDevices && pick(4) > 0:
				r[deviceID], r[deviceHidden] = []any{"A", "B", "PHONE"}[pick(3)], nil
			case side == sideAccess && pick(4) > 0:
				r[accessID], r[accessDevice], r[accessPuppets], r[accessRefresh], r[accessExpiry] = int64(pick(9)), []any{"A", "B", nil}[pick(3)], nil, int64(pick(5)), nil
				r[accessToken] = fmt.Sprint("a", pick(12))
			case side == sideRefresh && pick(4) > 0:
				r[refreshID], r[refreshDevice], r[refreshNext], r[refreshExpiry], r[refreshEnd] = int64(pick(5)), []any{"A", "B"}[pick(2)], []any{nil, int64(pick(5))}[pick(2)], nil, nil
				r[refreshToken] = fmt.Sprint([]string{"r", "a"}[pick(2)], pick(8))
			}
			raw.Sides[side] = append(raw.Sides[side], r)
		}
	}
	if pick(3) > 0 {
		raw.User[userGuest], raw.User[userAppservice], raw.User[userDeactivated] = nil, nil, nil
	}
	return raw
}

// TestAnyRows: whatever rows there are, an account comes of them that our store can take, and the same each time.
func TestAnyRows(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same rows each time
	for range 5_000 {
		raw := chaos(random.IntN)
		a, _, found := mapped(raw)
		judge(t, a)
		again, _, foundAgain := mapped(raw)
		if diff := cmp.Diff(a, again) + cmp.Diff(found, foundAgain); diff != "" || t.Failed() {
			t.Fatalf("of the rows %#v: %s", raw, diff)
		}
	}
}

// FuzzMap is TestAnyRows with rows that the fuzzer picks.
func FuzzMap(f *testing.F) {
	f.Add([]byte("some rows"), "@alice:example.org", "a name", int64(1600000000))
	f.Fuzz(func(t *testing.T, picks []byte, name, text string, number int64) {
		at := 0
		raw := chaos(func(n int) int {
			if at >= len(picks) {
				return 0
			}
			at++
			return int(picks[at-1]) % n
		})
		raw.User[userName] = name
		raw.User[userCreation] = number
		raw.Sides[sideDevices] = append(raw.Sides[sideDevices], row{name, text, text, number, text, text, text})
		raw.Sides[sideAccess] = append(raw.Sides[sideAccess], row{name, number, text, text, number, nil, text, number, text})
		a, _, _ := mapped(raw)
		judge(t, a)
	})
}
