package matrixauth

import "net/http"

// cost is what an answer cost us, counted and not timed.
type cost struct {
	hashes, statements uint64
}

// measure returns an answer with its cost.
func (h *house) measure(c call) (answer, cost) {
	h.t.Helper()
	before := cost{h.hashes(), h.store.Statements()}
	a := h.do(c)
	return a, cost{h.hashes() - before.hashes, h.store.Statements() - before.statements}
}

// guess tries a wrong password.
func (h *house) guess(user, ip string) answer {
	h.t.Helper()
	return h.do(call{method: "POST", path: loginPath, ip: ip, body: loginBody(user, "wrong", nil)})
}

const (
	homeIP  = "2001:db8:aaaa:1::10"
	hotelIP = "198.51.100.200"
	// deviceCookie is the name of the device cookie.
	deviceCookie = "__Host-matrix_auth_device"
)

// loginFrom logs in by the API, from an address and perhaps with cookies.
func (h *house) loginFrom(ip, user, password string, header http.Header) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: loginPath, ip: ip, header: header, body: loginBody(user, password, nil)})
}

// known has alice use an app at home and sign in in a browser there. The browser is the guest.
func (h *house) known() *guest {
	h.t.Helper()
	h.add("alice", "bob")
	h.loginFrom(homeIP, "alice", alicesPassword, nil).want(h.t, http.StatusOK, "")
	v := h.guest()
	v.ip = homeIP
	v.signIn("alice", "")
	return v
}
