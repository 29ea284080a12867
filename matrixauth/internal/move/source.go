package move

import "context"

// Source is a server whose accounts are taken over, as it was at one moment.
type Source interface {
	// Counts returns how many rows there are of each kind, for a progress bar and the report.
	Counts(ctx context.Context) (Counts, error)
	// Accounts calls f with each account that can come, in the order of the bytes of their names. What cannot come, or
	// comes changed, is noted in findings. An error of f ends it and is returned.
	Accounts(ctx context.Context, findings *Findings, f func(Account) error) error
	// RegistrationTokens calls f with each that is still good.
	RegistrationTokens(ctx context.Context, findings *Findings, f func(RegistrationToken) error) error
	Close() error
}

// Counts are rows of a Source.
type Counts struct {
	Users              int64 `json:"users"`
	Devices            int64 `json:"devices"`
	AccessTokens       int64 `json:"access_tokens"`
	RefreshTokens      int64 `json:"refresh_tokens"`
	Emails             int64 `json:"emails"`
	OtherThreepids     int64 `json:"other_threepids"`
	ExternalIDs        int64 `json:"external_ids"`
	RegistrationTokens int64 `json:"registration_tokens"`
	// Position grows with what happens at the other server and never falls: an older copy of its database has a smaller one.
	// It is zero if there is none.
	Position int64 `json:"position,omitempty"`
}

// WithPepper returns a source whose accounts tell by a mark which pepper their passwords were hashed with: one that was wrong in
// a configuration and is right in the next run is a change. The mark must be as dear to guess by as a hash is. It is empty for
// no pepper.
func WithPepper(from Source, mark []byte) Source {
	if len(mark) == 0 {
		return from
	}
	return peppered{from, mark}
}

type peppered struct {
	Source
	pepper []byte
}

// Accounts implements Source.
func (p peppered) Accounts(ctx context.Context, findings *Findings, f func(Account) error) error {
	return p.Source.Accounts(ctx, findings, func(a Account) error {
		if a.PasswordHash != "" {
			a.Pepper = p.pepper
		}
		return f(a)
	})
}
