package resources

import (
	"context"
	"errors"

	"zai-image-mcp/resources/render"
)

// Export is a file made from a saved image, with its label.
type Export struct {
	Spec          render.Spec
	Data          []byte
	MIMEType      string
	SHA256        string  // of Data in hex
	Width, Height int     // pixels
	Enlarged      bool    // it has more pixels than the original
	Cleared       float64 // share of the pixels that became transparent, 0 to 1
	Signed        bool    // it is the unchanged original, which has Content Credentials
}

// Export makes a file from a saved image. Files whose pixels differ from the original are
// kept in the cache. Export fails with a *render.SpecError if the image has no plain
// background that could become transparent.
func (l *Library) Export(ctx context.Context, i Image, s render.Spec) (Export, error) {
	return Export{}, errors.New("not written yet")
}
