package doctor

import (
	"fmt"
	"time"
)

// LookAtBackups sees that the copies that the server makes by itself are there, if it makes any.
func (d *Visit) LookAtBackups() {
	const check = "backup"
	if d.Backups == nil {
		last := "none was made by the command"
		if at := d.Store.Copied(); !at.IsZero() {
			last = "the last by the command was of " + at.Format(time.RFC3339)
		}
		d.good(check, "no backups are made by themselves, and %s", last)
		return
	}
	state := d.Backups.State()
	newest := "there is none"
	if !state.Newest.IsZero() {
		newest = "the newest is of " + state.Newest.Format(time.RFC3339)
	}
	switch {
	case state.Problem != nil:
		d.bad(check, "failed", fmt.Sprintf("the last backup that was due could not be made, and %s: %v", newest, state.Problem), d.Backups.Dir(),
			"let the server's user write there, and see that there is room; it is tried again every few minutes")
	case !state.Newest.IsZero() && d.Store.Now().Sub(state.Newest) > 2*d.Backups.Every()+time.Hour:
		d.bad(check, "old", "no backup was made when it was due, and "+newest, d.Backups.Dir(), "look at the log of the server for what keeps it from it")
	default:
		d.good(check, "backups are in %s, %s; %d are kept, of every %s", d.Backups.Dir(), newest, d.Backups.Keep(), d.Backups.Every())
	}
}
