package reconcile

import "context"

// Devices asks about the account of a user whose live token the homeserver refused: it deletes all devices
// of an account that it deactivates.
func (r *Reconciler) Devices(ctx context.Context, userID string) error { return r.Account(ctx, userID) }
