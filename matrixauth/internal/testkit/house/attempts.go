package house

import "net/http"

// Cost is what an answer cost us, counted and not timed.
type Cost struct {
	Hashes, Statements uint64
}

// Measure returns an answer with its cost.
func (h *House) Measure(c Call) (Answer, Cost) {
	h.T.Helper()
	before := Cost{h.Hashes(), h.Store.Statements()}
	a := h.Do(c)
	return a, Cost{h.Hashes() - before.Hashes, h.Store.Statements() - before.Statements}
}

// Guess tries a wrong password.
func (h *House) Guess(user, ip string) Answer {
	h.T.Helper()
	return h.Do(Call{Method: "POST", Path: LoginPath, IP: ip, Body: LoginBody(user, "wrong", nil)})
}

const (
	// HomeIP is where alice is at home, an address of IPv6.
	HomeIP = "2001:db8:aaaa:1::10"
	// HotelIP is where she is away from home.
	HotelIP = "198.51.100.200"
	// DeviceCookie is the name of the device cookie.
	DeviceCookie = "__Host-matrix_auth_device"
)

// LoginFrom logs in by the API, from an address and perhaps with cookies.
func (h *House) LoginFrom(ip, user, password string, header http.Header) Answer {
	h.T.Helper()
	return h.Do(Call{Method: http.MethodPost, Path: LoginPath, IP: ip, Header: header, Body: LoginBody(user, password, nil)})
}

// AliceAtHome has alice use an app at home and sign in in a browser there. The browser is the guest.
func (h *House) AliceAtHome() *Browser {
	h.T.Helper()
	h.Add("alice", "bob")
	h.LoginFrom(HomeIP, "alice", AlicesPassword, nil).Want(h.T, http.StatusOK, "")
	v := h.Browser()
	v.IP = HomeIP
	v.SignIn("alice", "")
	return v
}
