package resources

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"time"

	"golang.org/x/image/webp"

	"zai-image-mcp/resources/pixels"
)

// Decoding limits, checked before or while a file is decoded: a file of 100 KB can
// expand to a gigabyte or take an hour of CPU time.
const (
	maxScans    = 100 // of a progressive JPEG; encoders write about ten
	decodeTime  = 5 * time.Second
	decodeBytes = 128 << 20 // memory for all images that are decoded at the same time
)

// codec decodes one file type.
type codec struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	// bytesPerPixel estimates the memory for decoding the variant that needs most.
	bytesPerPixel int64
}

func codecFor(mimeType string) (codec, error) {
	switch mimeType {
	case "image/png": // interlaced 16-bit RGBA and its copy
		return codec{png.DecodeConfig, png.Decode, 20}, nil
	case "image/jpeg": // progressive CMYK: coefficients of 4 bytes each, planes and a copy
		return codec{jpeg.DecodeConfig, jpeg.Decode, 28}, nil
	case "image/webp":
		return codec{webp.DecodeConfig, decodeWebP, 12}, nil
	case "image/gif":
		return codec{gif.DecodeConfig, gif.Decode, 8}, nil
	default:
		return codec{}, fmt.Errorf("no decoder for %q", mimeType)
	}
}

// checkHeader fails if an image exceeds a decoding limit. It returns an estimate of
// the memory that decoding takes, in bytes, and seeks to the beginning of the file.
func checkHeader(file io.ReadSeeker, mimeType string) (memory int64, err error) {
	c, err := codecFor(mimeType)
	if err != nil {
		return 0, err
	}
	config, err := c.config(bufio.NewReader(file))
	if err != nil {
		return 0, err
	}
	if config.Width <= 0 || config.Height <= 0 || max(config.Width, config.Height) > pixels.MaxSide || config.Width > pixels.MaxPixels/config.Height {
		return 0, fmt.Errorf("%dx%d pixels are too many", config.Width, config.Height)
	}
	if mimeType == "image/jpeg" {
		if err := checkScans(file); err != nil {
			return 0, err
		}
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	_, err = file.Seek(0, io.SeekStart)
	// Package pixels reads the file into a buffer, which grows by copying.
	return int64(config.Width)*int64(config.Height)*c.bytesPerPixel + 2*size, err
}

// checkScans fails for a JPEG with more scans than any encoder writes. Each scan
// covers all pixels, but needs only a few bytes of the file.
func checkScans(file io.ReadSeeker) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	b := bufio.NewReaderSize(file, 64<<10)
	for scans := 0; ; {
		if _, err := b.ReadSlice(0xff); err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			return nil // end of file; decoding fails if the file is truncated
		}
		const startOfScan = 0xda
		switch marker, err := b.Peek(1); {
		case err != nil:
			return nil //nolint:nilerr // as above
		case marker[0] == startOfScan:
			scans++
		}
		if scans > maxScans {
			return fmt.Errorf("more than %d scans", maxScans)
		}
	}
}

// decode decodes an image from the file's beginning.
func decode(file io.ReadSeeker, mimeType string) (image.Image, error) {
	if mimeType == "image/png" {
		img, err := pixels.DecodePNG(file)
		if !errors.Is(err, pixels.ErrUnsupported) {
			return img, err
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
	}
	c, err := codecFor(mimeType)
	if err != nil {
		return nil, err
	}
	return c.decode(bufio.NewReaderSize(file, 64<<10))
}

// deadlineReader fails after a deadline, which stops the decoder that reads from
// it.
type deadlineReader struct {
	io.ReadSeeker
	now      func() time.Time
	deadline time.Time
}

var errSlowDecoding = errors.New("decoding takes too long")

func (r deadlineReader) Read(b []byte) (int, error) {
	if r.now().After(r.deadline) {
		return 0, errSlowDecoding
	}
	return r.ReadSeeker.Read(b)
}

// withDecoder opens a saved image and calls use to decode it, once enough memory
// and a processor are free. It fails with ErrCorrupt if the file cannot be
// decoded.
func (l *Library) withDecoder(ctx context.Context, i Image, use func(io.ReadSeeker) ([]byte, error)) ([]byte, error) {
	file, err := l.store.Open(ctx, i.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var b []byte
	err = l.limitDecoding(ctx, file, i.MIMEType, 0, func(file io.ReadSeeker) (err error) {
		if b, err = use(file); err != nil {
			return decodeError(err)
		}
		return nil
	})
	return b, err
}

// limitDecoding calls use to decode a file, once enough memory and a processor are free.
// extra is the memory in bytes that use takes besides the decoded image. It fails with
// ErrCorrupt if the file cannot be decoded, or with the error of use.
func (l *Library) limitDecoding(ctx context.Context, file io.ReadSeeker, mimeType string, extra int64, use func(io.ReadSeeker) error) error {
	memory, err := checkHeader(file, mimeType)
	if err != nil {
		return decodeError(err)
	}
	memory = min(memory+extra, decodeBytes)
	if err := l.decodeMemory.Acquire(ctx, memory); err != nil {
		return err
	}
	defer l.decodeMemory.Release(memory)
	if err := l.decodeSlots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer l.decodeSlots.Release(1)
	return use(deadlineReader{file, l.now, l.now().Add(decodeTime)})
}

// decodeError returns an error that matches ErrCorrupt, unless the file could not be
// read.
func decodeError(err error) error {
	if errors.Is(err, ErrStorage) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, WithoutPath(err))
}

// encodeUnder returns a JPEG of at most limit bytes, encoded with the first of the
// qualities that is low enough.
func encodeUnder(img image.Image, limit int, qualities ...int) ([]byte, error) {
	var b bytes.Buffer
	for _, quality := range qualities {
		b.Reset()
		if err := pixels.EncodeJPEG(&b, img, quality); err != nil {
			return nil, err
		}
		if b.Len() <= limit {
			return b.Bytes(), nil
		}
	}
	return nil, errors.New("too large at every quality")
}
