package account

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// otherAccount returns the page for who is signed in as another than the account that a link is for (ACCT-9). Whether that
// account exists is not looked up. An account of another server, and a mail address, whose owner nobody is told, ask for nothing.
func (d *Door) otherAccount(goal signin.AccountPage, who model.User) (page.OtherAccount, bool) {
	localpart := goal.Hint
	if name, server, ok := model.ParseMatrixID(goal.Hint); ok {
		if server != d.ServerName {
			return page.OtherAccount{}, false
		}
		localpart = name
	}
	if localpart == "" || grant.ReadHint(goal.Hint).Names(who.Localpart, d.ServerName) {
		return page.OtherAccount{}, false
	}
	return page.OtherAccount{
		Goal: goalOf(goal), Account: model.MatrixID(who.Localpart, d.ServerName), Other: model.MatrixID(localpart, d.ServerName), Hint: goal.Hint,
	}, true
}
