// Package pixels decodes images, scales them down and encodes JPEGs. It has decoders of its
// own for the files that the models generate, and an encoder for previews, which are faster
// than those of the standard library.
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
