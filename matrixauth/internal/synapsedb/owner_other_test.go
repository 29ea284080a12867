//go:build !unix

package synapsedb

import "io/fs"

func ownerOf(fs.FileInfo) string { return "" }
