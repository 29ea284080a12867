//go:build !linux

package store

// networkFileSystem can be told on Linux only.
func networkFileSystem(string) string { return "" }

// mayWrite can be told without a trace on Linux only.
func mayWrite(string) error { return nil }
