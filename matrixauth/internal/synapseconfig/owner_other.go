//go:build !unix

package synapseconfig

import (
	"io/fs"
	"os"
)

// sameOwner does nothing: a new file belongs to whoever its directory's access list says.
func sameOwner(*os.File, fs.FileInfo) error { return nil }

// mayLead allows every link: making one takes a privilege here.
func mayLead(fs.FileInfo, fs.FileInfo) bool { return true }

// syncDirectory does nothing: directories cannot be synced here.
func syncDirectory(string) error { return nil }
