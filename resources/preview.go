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
	"os"
	"path"
	"strings"

	"golang.org/x/image/webp"
)

const (
	// PreviewSide is the longest side of a preview in pixels.
	PreviewSide = 512
	// PreviewBytes is the largest preview: 100 KB when written as base64.
	PreviewBytes = 75_000
	// maxPixels is checked before anything is decoded: a file of 100 KB can
	// unpack to a gigabyte.
	maxPixels = 1 << 24
	maxSide   = 1 << 14
)

// codec reads one file type.
type codec struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

func codecFor(mimeType string) (codec, error) {
	switch mimeType {
	case "image/png":
		return codec{png.DecodeConfig, png.Decode}, nil
	case "image/jpeg":
		return codec{jpeg.DecodeConfig, jpeg.Decode}, nil
	case "image/webp":
		return codec{webp.DecodeConfig, webp.Decode}, nil
	case "image/gif":
		return codec{gif.DecodeConfig, gif.Decode}, nil
	default:
		return codec{}, fmt.Errorf("no decoder for %q", mimeType)
	}
}

// decode reads a whole picture, from the file's beginning.
func decode(file io.ReadSeeker, mimeType string) (image.Image, error) {
	c, err := codecFor(mimeType)
	if err != nil {
		return nil, err
	}
	config, err := c.config(bufio.NewReader(file))
	if err != nil {
		return nil, err
	}
	if config.Width <= 0 || config.Height <= 0 || max(config.Width, config.Height) > maxSide || config.Width > maxPixels/config.Height {
		return nil, fmt.Errorf("%dx%d pixels are too many", config.Width, config.Height)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return c.decode(bufio.NewReaderSize(file, 64<<10))
}

// Preview is a JPEG of at most PreviewSide and PreviewBytes. It is made once
// and kept beside the catalog; for older pictures on demand.
func (l *Library) Preview(ctx context.Context, i Image) ([]byte, error) {
	if i.State != Saved {
		return nil, fmt.Errorf("%w: it is not saved", ErrNotFound)
	}
	name := previewName(i.Path)
	if file, err := l.previews.openFile(name); err == nil {
		defer file.Close()
		kept, err := io.ReadAll(io.LimitReader(file, PreviewBytes+1))
		if err == nil && len(kept) > 0 && len(kept) <= PreviewBytes && bytes.HasPrefix(kept, []byte("\xff\xd8\xff")) {
			return kept, nil
		}
	}
	made, err, _ := l.making.Do(i.ID, func() (any, error) {
		// Others may wait for the same preview: one that leaves must not end it.
		made, err := l.makePreview(context.WithoutCancel(ctx), i)
		if err != nil {
			return nil, err
		}
		if _, _, err := l.previews.save(name, bytes.NewReader(made)); err != nil {
			l.log.WarnContext(ctx, "preview is not kept", "id", i.ID, "error", err)
		}
		return made, nil
	})
	if err != nil {
		return nil, err
	}
	return made.([]byte), nil //nolint:forcetypeassert // of the function above
}

// previewName is where the preview of a picture lies, in the previews' folder.
func previewName(picture string) string {
	return strings.TrimSuffix(picture, path.Ext(picture)) + ".jpg"
}

func (l *Library) makePreview(ctx context.Context, i Image) ([]byte, error) {
	return l.withDecoder(ctx, i, func(file *os.File) ([]byte, error) {
		img, err := decodeShrunk(file, i.MIMEType, PreviewSide)
		if err != nil {
			return nil, err
		}
		for side := PreviewSide; side >= 64; side /= 2 {
			img = shrink(img, side)
			if b, err := encodeUnder(img, PreviewBytes, 80, 60, 40); err == nil {
				return b, nil
			}
		}
		return nil, errors.New("the preview does not get small enough")
	})
}

// decodeShrunk reads a picture that is wanted with a side of at most limit.
func decodeShrunk(file io.ReadSeeker, mimeType string, limit int) (image.Image, error) {
	if mimeType == "image/png" {
		img, err := shrinkPNG(file, limit)
		if !errors.Is(err, errNotPlain) {
			return img, err
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
	}
	img, err := decode(file, mimeType)
	if err != nil {
		return nil, err
	}
	return shrink(img, limit), nil
}

// Reencode makes a JPEG of at most limit bytes, as large as it can be.
func (l *Library) Reencode(ctx context.Context, i Image, limit int) ([]byte, error) {
	return l.withDecoder(ctx, i, func(file *os.File) ([]byte, error) {
		img, err := decode(file, i.MIMEType)
		if err != nil {
			return nil, err
		}
		for side := max(i.Width, i.Height); side >= 64; side = side * 3 / 4 {
			if b, err := encodeUnder(shrink(img, side), limit, 92, 80, 60); err == nil {
				return b, nil
			}
		}
		return nil, errors.New("the picture does not get small enough")
	})
}

// withDecoder waits for a place before it opens a picture for decoding: a
// decoded picture is large, and more of them at once than processors makes
// nothing faster. What cannot be decoded is ErrCorrupt.
func (l *Library) withDecoder(ctx context.Context, i Image, use func(*os.File) ([]byte, error)) ([]byte, error) {
	select {
	case l.decodes <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.decodes }()
	file, err := l.pictures.openFile(i.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := use(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return b, nil
}

// encodeUnder tries the qualities in order until the file fits.
func encodeUnder(img image.Image, limit int, qualities ...int) ([]byte, error) {
	var b bytes.Buffer
	for _, quality := range qualities {
		b.Reset()
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
			return nil, err
		}
		if b.Len() <= limit {
			return b.Bytes(), nil
		}
	}
	return nil, errors.New("too large at every quality")
}
