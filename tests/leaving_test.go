package tests

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestLeaving has people set their name, and then leave for good, at the account pages in a real browser; Synapse has it at
// once (ACCT-2, ACCT-5, ACCT-9, ACCT-11, MOD-11).
func TestLeaving(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			mail := rig.StartMail(t)
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{Env: mail.Env(), Options: oauthOptions + mail.Option("")})
			l := &leaving{newPeople(t, h, mail), h, mail}
			t.Run("with_erase_by_keyboard", l.erased)
			t.Run("without_script", l.plain)
			t.Run("another_account", l.another)
		})
	}
}

type leaving struct {
	all  *people
	h    *rig.Homeserver
	mail *rig.Mail
}

// leaver is somebody with an app in a room, in which they have said something to a friend.
type leaver struct {
	newcomer
	token, id, room string
	// friend is the token of the friend, who was there when it was said, and keeps the room alive.
	friend string
}

func (l *leaving) leaver(t *testing.T, name string) (one leaver) {
	t.Helper()
	one.Name, one.Address = name, name+"@example.org"
	one.Password = l.h.AddUser(name, "--email", one.Address)
	login := l.h.Login(name, one.Password, nil).Must(t, http.StatusOK)
	one.token, one.id = login.Text("access_token"), login.Text("user_id")
	one.room = l.h.Call(http.MethodPost, "/v3/createRoom", one.token, map[string]any{"preset": "public_chat"}).Must(t, http.StatusOK).Text("room_id")
	one.friend = l.joins(t, "friend-of-"+name, one)
	l.h.Call(http.MethodPut, "/v3/rooms/"+one.room+"/send/m.room.message/1", one.token, map[string]string{"msgtype": "m.text", "body": "a secret"}).Must(t, http.StatusOK)
	return one
}

// reads reports whether somebody finds in the room what was said.
func (l *leaving) reads(t *testing.T, token string, one leaver) bool {
	t.Helper()
	found := l.h.Call(http.MethodGet, "/v3/rooms/"+one.room+"/messages?dir=b&limit=100", token, nil).Must(t, http.StatusOK)
	return strings.Contains(fmt.Sprint(found.Body), "a secret")
}

// joins signs somebody in and has them join a room.
func (l *leaving) joins(t *testing.T, name string, one leaver) (token string) {
	t.Helper()
	token = l.h.Login(name, l.h.AddUser(name), nil).Must(t, http.StatusOK).Text("access_token")
	l.h.Call(http.MethodPost, "/v3/rooms/"+one.room+"/join", token, struct{}{}).Must(t, http.StatusOK)
	return token
}

// gone waits until Synapse has deactivated who left: their token is worth nothing and they are in no room.
func (l *leaving) gone(t *testing.T, one leaver) {
	t.Helper()
	rig.Await(t, "the end of "+one.id, func() error {
		if a := l.h.Call(http.MethodGet, "/v3/account/whoami", one.token, nil); a.Status != http.StatusUnauthorized {
			return fmt.Errorf("the token: status %d: %v", a.Status, a.Body)
		}
		a := l.h.Call(http.MethodGet, "/v3/rooms/"+one.room+"/joined_members", one.friend, nil)
		if strings.Contains(fmt.Sprint(a.Body), one.id) {
			return errors.New("still in the room")
		}
		return nil
	})
	if code := l.h.Login(one.Name, one.Password, nil).Must(t, http.StatusForbidden).Text("errcode"); code != "M_USER_DEACTIVATED" {
		t.Errorf("an app is told %s", code)
	}
}

// erased gives an account a name, and leaves it with all that was said hidden from newcomers.
func (l *leaving) erased(t *testing.T) {
	alice := l.leaver(t, "alice")
	p, other := l.all.person(t, eyes{Keyboard: true}), l.all.person(t, eyes{})
	p.pictured = true
	other.opens("/account/")
	other.signsIn(alice.Name, alice.Password)
	p.opens("/account/?action=profile")
	if at := p.signsIn(alice.Name, alice.Password); at.Heading != "Your profile" || at.Values["Display name"] != "alice" {
		t.Fatalf("the sign-in leads to %+v", at)
	}
	p.looks("profile")
	p.types("Display name", "Alice ☂ & Co")
	if at := p.presses("Save"); at.Status == "" || at.Values["Display name"] != "Alice ☂ & Co" {
		t.Fatalf("the name leads to %+v", at)
	}
	p.looks("profile-saved")
	profile := "/v3/profile/" + url.PathEscape(alice.id)
	if a := l.h.Call(http.MethodGet, profile, alice.friend, nil).Must(t, http.StatusOK); a.Text("displayname") != "Alice ☂ & Co" {
		t.Errorf("others see %v", a.Body)
	}

	l.h.Call(http.MethodPut, profile+"/avatar_url", alice.token, map[string]string{"avatar_url": "mxc://example.test/picture"}).Must(t, http.StatusOK)
	p.opens("/account/profile")
	p.looks("profile-picture")
	if at := p.presses("Remove the picture"); at.Status == "" || at.Values["Display name"] != "Alice ☂ & Co" {
		t.Fatalf("the picture leads to %+v", at)
	}
	if a := l.h.Call(http.MethodGet, profile, alice.friend, nil).Must(t, http.StatusOK); a.Text("avatar_url") != "" || a.Text("displayname") == "" {
		t.Errorf("others see %v", a.Body)
	}

	p.opens("/account/?action=org.matrix.account_deactivate")
	p.looks("leave")
	p.types("Type your Matrix ID to confirm", "alice")
	if at := p.presses("Deactivate my account"); at.Alert == "" {
		t.Fatalf("another Matrix ID leads to %+v", at)
	}
	p.looks("leave-mismatch")
	p.ticks("Hide my messages from people who join later")
	p.types("Type your Matrix ID to confirm", alice.id)
	if at := p.presses("Deactivate my account"); at.Heading != "Your account is deactivated" {
		t.Fatalf("it leads to %+v", at)
	}
	p.looks("left")
	l.gone(t, alice)
	l.mail.Await(alice.Address, "deactivated", 0)
	for _, one := range []*person{p, other} {
		if at := one.opens("/account/"); !at.has("Password") {
			t.Errorf("who left sees %+v", at)
		}
	}
	if at := p.signsIn(alice.Name, alice.Password); at.Heading != "This account is deactivated" {
		t.Errorf("the sign-in says %+v", at)
	}
	if a := l.h.Call(http.MethodGet, profile, alice.friend, nil); a.Text("displayname") != "" {
		t.Errorf("others see %v", a.Body)
	}
	if !l.reads(t, alice.friend, alice) || l.reads(t, l.joins(t, "newcomer", alice), alice) {
		t.Error("who was there lost the message, or who came later reads it")
	}
}

// plain leaves without script, and without hiding anything.
func (l *leaving) plain(t *testing.T) {
	bob := l.leaver(t, "bob")
	p := l.all.person(t, eyes{NoScript: true})
	p.opens("/account/?action=org.matrix.account_deactivate")
	p.signsIn(bob.Name, bob.Password)
	p.types("Type your Matrix ID to confirm", bob.id)
	if at := p.presses("Deactivate my account"); at.Heading != "Your account is deactivated" {
		t.Fatalf("it leads to %+v", at)
	}
	l.gone(t, bob)
	if !l.reads(t, l.joins(t, "late", bob), bob) {
		t.Error("who came later does not read what was to stay")
	}
}

// another follows a link that is for another account than the one that is signed in.
func (l *leaving) another(t *testing.T) {
	passwords := map[string]string{}
	for _, name := range []string{"carol", "dora"} {
		passwords[name] = l.h.AddUser(name)
	}
	p := l.all.person(t, eyes{})
	p.pictured = true
	p.opens("/account/")
	p.signsIn("carol", passwords["carol"])
	at := p.opens("/account/?action=org.matrix.profile&login_hint=dora")
	if at.Heading != "Which account?" {
		t.Fatalf("the link leads to %+v", at)
	}
	p.looks("which-account")
	for _, button := range at.Buttons {
		if strings.Contains(button, "dora") {
			at = p.presses(button)
		}
	}
	if at.Values["Username"] != "dora" {
		t.Fatalf("the button leads to %+v", at)
	}
	p.types("Password", passwords["dora"])
	if at = p.presses("Continue"); at.Heading != "Your profile" || !strings.Contains(at.Text, "@dora:") {
		t.Errorf("the sign-in leads to %+v", at)
	}
}
