package model

import "time"

// FailedSignIns are the tries to sign in to an account from one network that failed, counted as one.
type FailedSignIns struct {
	UserID string
	// Network is where they came from, as by Network; empty if that is not known.
	Network string
	// UserAgent is what the newest of them said it came by.
	UserAgent string
	// First and Last are the times of the oldest and of the newest.
	First, Last time.Time
	Tries       int64
}

// And returns the tries of both, of which other are of the same account and network.
func (f FailedSignIns) And(other FailedSignIns) FailedSignIns {
	if other.Last.After(f.Last) {
		f.Last, f.UserAgent = other.Last, other.UserAgent
	}
	if other.First.Before(f.First) {
		f.First = other.First
	}
	f.Tries += other.Tries
	return f
}
