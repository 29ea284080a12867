package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// lostLately is how long a lost session is a finding after its app came last: one that never comes again needs nobody.
const lostLately = 7 * 24 * time.Hour

// LostSessions tells of sessions that apps have and that the database does not know, as it does if an older one is in
// its place.
func (d *Visit) LostSessions(ctx context.Context) {
	const check = "lost sessions"
	var waiting int64
	err := d.Store.View(ctx, func(tx *store.Tx) (err error) {
		waiting, err = tx.CountLostSessions(time.Time{}, tx.Now.Add(-lostLately))
		return err
	})
	switch {
	case err != nil:
		d.bad(check, "unreadable", "the list of lost sessions cannot be read: "+err.Error(), d.Store.Path(), "restore a backup, or look at the disk")
	case waiting > 0:
		d.bad(check, "waiting", fmt.Sprintf("%d sessions wait that apps have and the database does not know: an older database is in its place, or the right one is lost", waiting), d.Store.Path(),
			`if there is a newer database of this server, put it back; if not, end them by "caddy matrix-auth session lost --end", and their apps sign in again; "caddy matrix-auth session lost" lists them`)
	default:
		d.good(check, "no app has a session that the database does not know")
	}
}

// MissingDevices tells that sessions wait whose devices Synapse lost, after the database went back in time.
func (d *Visit) MissingDevices() {
	const check = "devices after a restore"
	held := d.HeldBack()
	if held.IsZero() {
		d.good(check, "no session waits because Synapse has lost its device")
		return
	}
	d.bad(check, "missing", fmt.Sprintf("since the database went back in time Synapse lacks devices of several sessions, the last time at %s; it may have gone back itself, so none is ended, and their apps wait", held.Format(time.RFC3339)),
		d.Endpoint, "if there is a newer database of Synapse, put it back; if not, end the sessions by \"caddy matrix-auth session end\": the comparison with Synapse lists them")
}
