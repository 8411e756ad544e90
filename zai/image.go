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

// MaxPixels is the largest number of pixels that is accepted: twice that of the
// largest image any model makes. It limits the memory for decoding.
const MaxPixels = 1 << 23

// maxSide is the longest accepted side of an image, in pixels.
const maxSide = 1 << 14

// headerLimit is the number of bytes of a file that are read to find its
// dimensions. In a JPEG, colour profiles and previews may precede them.
const headerLimit = 1 << 20

// Format is an image file type, detected from the first bytes of a file. The
// name and type that a server declares are ignored: the service sends JPEGs as
// image/png.
type Format struct {
	MIMEType  string
	Extension string // with the dot
	config    func(io.Reader) (image.Config, error)
	track     func() *tracker
}

// ErrNotImage means that the format of a file is not accepted.
var ErrNotImage = errors.New("not a PNG, JPEG, WebP or GIF image")

// DetectFormat returns the format of a file that begins with head, which needs
// at most 12 bytes. Its only error is ErrNotImage.
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

// Image is an image file that is being read. Its format and dimensions come
// from its header.
type Image struct {
	Format
	Width, Height int // pixels
	body          io.Reader
	closer        io.Closer
	track         *tracker
}

// Read reads the file from its first byte. If the file ends before its image
// does, the error matches KindDownload instead of io.EOF.
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

// OpenImage detects the format of the file in r and reads its dimensions,
// without decoding any pixels. It fails for images of more than MaxPixels and
// for sides of more than 16384 pixels.
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
