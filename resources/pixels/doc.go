// Package pixels decodes images and scales them down, and encodes JPEGs. Its code for the
// files that the models generate and for JPEGs is faster than that of the standard library,
// which does the rest.
package pixels

import "errors"

// Limits of an image, which the decoders check before they allocate memory for it.
const (
	MaxPixels = 1 << 23 // twice the largest image that any model generates
	MaxSide   = 1 << 14 // pixels
)

// ErrUnsupported means that a decoder does not support a variant of its file format. The
// standard library may.
var ErrUnsupported = errors.New("unsupported variant of the format")
