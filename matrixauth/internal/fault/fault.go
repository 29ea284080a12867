//go:build !faulthook

// Package fault marks the places at which tests of a real process make it die. In a normal build
// it does nothing; the build tag faulthook arms it.
package fault

// Point marks a place by name.
func Point(string) {}
