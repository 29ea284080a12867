// Package testkit has what tests of several packages need: a clock that stands still and a journal of the log.
// The package house below it is a whole server. Only tests import them.
package testkit
