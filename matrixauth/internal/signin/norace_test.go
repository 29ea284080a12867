//go:build !race

package signin_test

const floodScale = 10
