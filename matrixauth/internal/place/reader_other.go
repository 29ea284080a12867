//go:build !unix

package place

import "errors"

// MayRead cannot be told where files have no modes.
func MayRead(string, Reader) ([]Obstacle, error) {
	return nil, errors.ErrUnsupported
}
