// Package model holds the words of the domain: users, sessions, tokens, jobs and the errors that
// may happen to them. It does no I/O and imports nothing of ours, so that every other package can
// share its vocabulary without a cycle.
package model
