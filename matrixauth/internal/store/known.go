package store

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// NoteNetwork notes that an account is used from the network of an address. What is not an address is not noted.
func (tx *Tx) NoteNetwork(userID, ip string) error {
	network := model.Place(ip)
	if network == "" {
		return nil
	}
	if _, err := tx.exec(`INSERT INTO known_networks (user_id, network, seen_at) VALUES (?1, ?2, ?3)
		ON CONFLICT (user_id, network) DO UPDATE SET seen_at = excluded.seen_at WHERE known_networks.seen_at < excluded.seen_at`, userID, network, micros(tx.Now)); err != nil {
		return err
	}
	_, err := tx.exec(`DELETE FROM known_networks WHERE user_id = ?1 AND network IN (
		SELECT network FROM known_networks WHERE user_id = ?1 ORDER BY seen_at DESC, network`+beyond+`?2)`, userID, bound.KnownNetworks)
	return err
}

// NoteMove notes the network of an address if it differs from that of the last address, or if nothing was noted today.
// An account in constant use costs one statement a day.
func (tx *Tx) NoteMove(userID, ip, last string, lastSeen time.Time) (moved bool, err error) {
	place := model.Place(ip)
	moved = place != "" && place != model.Place(last)
	if moved || !sameDay(lastSeen, tx.Now) {
		err = tx.NoteNetwork(userID, ip)
	}
	return moved, err
}

func sameDay(a, b time.Time) bool {
	const day = 24 * time.Hour
	return a.Truncate(day).Equal(b.Truncate(day))
}

// NoteBrowser notes that an account signed in in a browser, which has a value of this hash in its device
// cookie. A value that is another account's is left alone.
func (tx *Tx) NoteBrowser(userID string, hash model.TokenHash) error {
	if _, err := tx.exec(`INSERT INTO known_browsers (hash, user_id, seen_at) VALUES (?1, ?2, ?3)
		ON CONFLICT (hash) DO UPDATE SET seen_at = excluded.seen_at
			WHERE known_browsers.user_id = excluded.user_id AND known_browsers.seen_at < excluded.seen_at`,
		hash[:], userID, micros(tx.Now)); err != nil {
		return err
	}
	_, err := tx.exec(`DELETE FROM known_browsers WHERE hash IN (
		SELECT hash FROM known_browsers WHERE user_id = ?1 ORDER BY seen_at DESC, hash`+beyond+`?2)`, userID, bound.KnownBrowsers)
	return err
}

// Place is how an account is known where somebody wants to sign in to it.
type Place struct {
	// Network reports whether the account was used from the network lately.
	Network bool
	// Browser is the hash of the value by which the browser is known; the zero hash if it is not.
	Browser model.TokenHash
}

const knownPlace = `SELECT EXISTS (SELECT 1 FROM known_networks WHERE user_id = ?1 AND network = ?2 AND seen_at > ?3),
	(SELECT hash FROM known_browsers WHERE hash IN (?5, ?6, ?7, ?8, ?9) AND user_id = ?1 AND seen_at > ?4 LIMIT 1)`

// MaxBrowserHashes is how many values of a device cookie KnownPlace looks at.
const MaxBrowserHashes = 5

// KnownPlace returns how an account is known at a network, and in a browser whose device cookie has values of
// these hashes. It is one look-up, whether there is such an account or not (ENUM-1).
func (tx *Tx) KnownPlace(userID, network string, browsers []model.TokenHash) (Place, error) {
	args := []any{userID, network, tx.before(bound.KeepKnownNetwork), tx.before(bound.KeepKnownBrowser)}
	for i := range MaxBrowserHashes {
		var hash any
		if i < len(browsers) {
			hash = browsers[i][:]
		}
		args = append(args, hash)
	}
	return one(tx, func(s scanner) (p Place, err error) { return p, s.Scan(&p.Network, hashInto{&p.Browser}) }, knownPlace, args...)
}

// ForgetPlaces forgets where an account is known.
func (tx *Tx) ForgetPlaces(userID string) error {
	if _, err := tx.exec("DELETE FROM known_networks WHERE user_id = ?1", userID); err != nil {
		return err
	}
	_, err := tx.exec("DELETE FROM known_browsers WHERE user_id = ?1", userID)
	return err
}

const staleNetworks = "SELECT user_id, network FROM known_networks WHERE seen_at < ?1 LIMIT ?2"

// retainNetworks removes networks that were not used for too long. It keeps the last known network of a live session:
// clients that never refresh show their address at the sign-in only.
func (s *Store) retainNetworks(ctx context.Context) (removed int64, err error) {
	type known struct{ userID, network string }
	for {
		var stale []known
		err := s.Update(ctx, func(tx *Tx) (err error) {
			stale, err = many(tx, func(row scanner) (k known, err error) { return k, row.Scan(&k.userID, &k.network) },
				staleNetworks, tx.before(bound.KeepKnownNetwork), retentionBatch)
			if err != nil {
				return err
			}
			users := map[string]map[string]time.Time{}
			for _, k := range stale {
				if users[k.userID] == nil {
					if users[k.userID], err = tx.activeNetworks(k.userID); err != nil {
						return err
					}
				}
				seen := users[k.userID][k.network]
				if tx.Now.Sub(seen) < bound.KeepKnownNetwork {
					_, err = tx.exec("UPDATE known_networks SET seen_at = ?3 WHERE user_id = ?1 AND network = ?2", k.userID, k.network, micros(seen))
				} else {
					_, err = tx.exec("DELETE FROM known_networks WHERE user_id = ?1 AND network = ?2", k.userID, k.network)
					removed++
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(stale) < retentionBatch {
			return removed, err
		}
	}
}

// activeNetworks returns the networks of the last known addresses of a user's live sessions, with their last
// activity.
func (tx *Tx) activeNetworks(userID string) (map[string]time.Time, error) {
	sessions, err := tx.LiveSessions(userID)
	if err != nil {
		return nil, err
	}
	browsers, err := tx.LiveBrowserSessions(userID)
	if err != nil {
		return nil, err
	}
	active := map[string]time.Time{}
	note := func(ip string, at time.Time) {
		if network := model.Place(ip); network != "" && at.After(active[network]) {
			active[network] = at
		}
	}
	for _, s := range sessions {
		note(s.LastIP, s.LastActiveAt)
	}
	for _, b := range browsers {
		note(b.LastIP, b.LastActiveAt)
	}
	return active, nil
}
