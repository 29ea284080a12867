package store

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"

// Population is how many users and live sessions there are.
type Population struct {
	// Users are the accounts by what they may do. A deactivated account counts as nothing else.
	Active, Locked, Deactivated int64
	// Sessions are the sessions that have not ended.
	Sessions map[model.SessionKind]int64
}

func scanCount(s scanner) (n int64, err error) {
	err = s.Scan(&n)
	return n, err
}

// Population counts users and live sessions. It reads both tables whole, which takes half a second of CPU for a
// million sessions, so no request may call it.
func (tx *Tx) Population() (p Population, err error) {
	p, err = one(tx, func(s scanner) (v Population, err error) {
		err = s.Scan(&v.Active, &v.Locked, &v.Deactivated)
		return v, err
	}, `SELECT COUNT(*) FILTER (WHERE deactivated_at IS NULL AND locked_at IS NULL),
		COUNT(*) FILTER (WHERE deactivated_at IS NULL AND locked_at IS NOT NULL), COUNT(*) FILTER (WHERE deactivated_at IS NOT NULL) FROM users`)
	if err != nil {
		return p, err
	}
	var compat, oauth int64
	_, err = one(tx, func(s scanner) (struct{}, error) { return struct{}{}, s.Scan(&compat, &oauth) },
		"SELECT COUNT(*) FILTER (WHERE kind = ?1), COUNT(*) FILTER (WHERE kind = ?2) FROM sessions WHERE ended_at IS NULL", model.CompatSession, model.OAuthSession)
	p.Sessions = map[model.SessionKind]int64{model.CompatSession: compat, model.OAuthSession: oauth}
	return p, err
}
