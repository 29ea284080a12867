//go:build !linux

package synapseconfig

import "os"

// sameAccess does nothing: access lists are not read here.
func sameAccess(*os.File, string) error { return nil }
