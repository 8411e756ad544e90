package zai

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// MaxPixels is the largest image that is accepted, because it is decoded later:
// twice the largest that any model makes.
const MaxPixels = 1 << 23

// maxSide is the longest accepted side of an image, in pixels.
const maxSide = 1 << 14

// headerLimit is how many bytes of a file are read to find its dimensions. JPEGs
// may have colour profiles and previews before them.
const headerLimit = 1 << 20

// Format is an image file type, recognized by the first bytes. The name and type
// that a server declares are ignored: JPEGs were served as image/png.
type Format struct {
	MIMEType  string
	Extension string // with the dot
	config    func(io.Reader) (image.Config, error)
	track     func() *tracker
}

// ErrNotImage means that a file has none of the accepted formats.
var ErrNotImage = errors.New("not a PNG, JPEG, WebP or GIF image")

// DetectFormat returns the format of a file from its first bytes, of which 12
// suffice. It fails with ErrNotImage.
func DetectFormat(head []byte) (Format, error) {
	switch {
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return Format{"image/png", ".png", png.DecodeConfig, trackPNG}, nil
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return Format{"image/jpeg", ".jpg", jpeg.DecodeConfig, trackJPEG}, nil
	case len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP":
		return Format{"image/webp", ".webp", webp.DecodeConfig, trackWebP}, nil
	case bytes.HasPrefix(head, []byte("GIF87a")), bytes.HasPrefix(head, []byte("GIF89a")):
		return Format{"image/gif", ".gif", gif.DecodeConfig, trackGIF}, nil
	default:
		return Format{}, ErrNotImage
	}
}

// Image is an image being downloaded: type and dimensions are known from its
// header, the bytes are still to be read.
type Image struct {
	Format
	Width, Height int // pixels
	body          io.Reader
	closer        io.Closer
	track         *tracker
}

// Read reads the file from its first byte. If the file ends before its image
// does, the error is of KindDownload instead of io.EOF.
func (i *Image) Read(b []byte) (int, error) {
	n, err := i.body.Read(b)
	i.track.advance(b[:n])
	if errors.Is(err, io.EOF) && !i.track.complete() {
		return n, errIncomplete
	}
	return n, err
}

// Close ends the download and releases its connection.
func (i *Image) Close() error {
	if i.closer == nil {
		return nil
	}
	return i.closer.Close()
}

// OpenImage detects the format of the file in r and reads its dimensions, without
// decoding any pixels. It fails for images over MaxPixels.
func OpenImage(r io.Reader) (*Image, error) {
	head := make([]byte, 12)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	format, err := DetectFormat(head[:n])
	if err != nil {
		return nil, err
	}
	var seen bytes.Buffer
	all := io.MultiReader(bytes.NewReader(head[:n]), r)
	config, err := format.config(io.TeeReader(io.LimitReader(all, headerLimit), &seen))
	if err != nil {
		return nil, fmt.Errorf("%s header: %w", format.MIMEType, err)
	}
	if config.Width <= 0 || config.Height <= 0 || max(config.Width, config.Height) > maxSide || config.Width > MaxPixels/config.Height {
		return nil, fmt.Errorf("%w: %dx%d pixels", errTooManyPixels, config.Width, config.Height)
	}
	return &Image{Format: format, Width: config.Width, Height: config.Height, body: io.MultiReader(&seen, all), track: format.track()}, nil
}

var errTooManyPixels = errors.New("the image is too large")
