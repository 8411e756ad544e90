package render

import (
	"errors"
	"image"
)

// Result is a rendered image.
type Result struct {
	Data          []byte
	Width, Height int     // of the largest image in the file
	Enlarged      bool    // it has more pixels than the image
	Cleared       float64 // share of the pixels that became transparent, 0 to 1
}

// Render renders an image. It fails with a *SpecError if the image has no plain background
// that could become transparent.
func Render(src image.Image, s Spec) (Result, error) { return Result{}, errors.New("not written yet") }
