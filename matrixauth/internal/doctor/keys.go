package doctor

import "context"

// TokenKeys sees that tokens can prove what they say of themselves, now and after the next start.
func (d *Visit) TokenKeys(ctx context.Context) {
	const check = "keys"
	err := d.Keys.Load(ctx)
	switch state := d.Keys.State(); {
	case state.Problem != nil:
		d.bad(check, "unusable", state.Problem.Error(), state.Problem.Path,
			"put the file back, or take it away to have a new one; meanwhile new tokens are worth what the database knows of them, and lost if it goes back in time")
	case err != nil:
		d.bad(check, "unusable", err.Error(), d.Store.Path(), "look at the disk")
	case state.Made:
		d.good(check, "the keys of tokens were gone at the start, and %s is new; tokens of before are worth what the database knows of them, until their clients refresh", d.Keys.Path())
	default:
		d.good(check, "%s has the keys of tokens; keep a copy of it apart from the backups of the database", d.Keys.Path())
	}
}
