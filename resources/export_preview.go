package resources

import (
	"bytes"
	"context"
	"io"

	"zai-image-mcp/resources/pixels"
	"zai-image-mcp/resources/render"
)

// ExportPreview returns a JPEG with a label that shows what an export looks like. Its sides
// are at most PreviewSide, its size is at most PreviewBytes, and transparent pixels are white.
// It fails like Export. It decodes the image unless PreviewSpec was exported before.
func (l *Library) ExportPreview(ctx context.Context, i Image, s render.Spec) ([]byte, error) {
	small, ok := PreviewSpec(i, s)
	if !ok || i.State != Saved {
		return l.Preview(ctx, i)
	}
	made, err := l.rendered(ctx, i, []render.Spec{small})
	if err != nil {
		return nil, err
	}
	i.MIMEType = small.Format.MIMEType()
	var b []byte
	err = l.limitDecoding(ctx, bytes.NewReader(made[0].Data), i.MIMEType, 0, func(file io.ReadSeeker) (err error) {
		b, err = l.encodePreview(ctx, i, file)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l.labelJPEG(ctx, i, b), nil
}

// PreviewSpec returns the spec of a small PNG that shows what another spec makes of an image.
// Exported together with it, it takes no further decoding. ok is false if the preview of the
// image shows the same.
func PreviewSpec(i Image, s render.Spec) (small render.Spec, ok bool) {
	const icon = 256 // pixels; an ICO file may have only 48
	width, height := s.Width, s.Height
	switch {
	case s.Format == render.ICO:
		width, height = icon, icon
	case width == 0 && s.Background == "":
		return render.Spec{}, false
	case width == 0:
		width, height = i.Width, i.Height
	}
	width, height = pixels.Fit(width, height, PreviewSide)
	small = render.Spec{Format: render.PNG, Width: width, Height: height, Fit: s.Fit, Background: s.Background}
	if small.Fit == "" {
		small.Fit = render.Cover
	}
	return small, true
}
