//go:build race

package signin_test

// The race detector makes each attempt many times slower.
const floodScale = 1
