package resources

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"path"
	"strings"
)

const (
	// PreviewSide is the longest side of a preview in pixels.
	PreviewSide = 512
	// PreviewBytes is the largest preview: 100 KB when written as base64.
	PreviewBytes = 75_000
)

// Preview returns a JPEG of at most PreviewSide and PreviewBytes. It is made
// once and kept beside the catalog. A caller whose context ends gets an error
// at once; the preview is made all the same, for the next one.
func (l *Library) Preview(ctx context.Context, i Image) ([]byte, error) {
	if i.State != Saved {
		return nil, fmt.Errorf("%w: it is not saved", ErrNotFound)
	}
	if kept := l.keptPreview(i); kept != nil {
		return kept, nil
	}
	making := l.previewCalls.DoChan(i.ID, func() (any, error) { return l.newPreview(context.WithoutCancel(ctx), i) })
	select {
	case made := <-making:
		if made.Err != nil {
			return nil, made.Err
		}
		return made.Val.([]byte), nil //nolint:forcetypeassert // of the function above
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// keptPreview returns nil if there is no usable one.
func (l *Library) keptPreview(i Image) []byte {
	file, err := l.previews.openFile(previewName(i.Path))
	if err != nil {
		return nil
	}
	defer file.Close()
	kept, err := io.ReadAll(io.LimitReader(file, PreviewBytes+1))
	if err != nil || len(kept) > PreviewBytes || !bytes.HasPrefix(kept, []byte("\xff\xd8\xff")) {
		return nil
	}
	return kept
}

// newPreview makes a preview and keeps it, unless the image is removed
// meanwhile.
func (l *Library) newPreview(ctx context.Context, i Image) ([]byte, error) {
	made, err := l.makePreview(ctx, i)
	if err != nil {
		return nil, err
	}
	name := previewName(i.Path)
	if _, _, err := l.previews.save(name, bytes.NewReader(made)); err != nil {
		l.log.WarnContext(ctx, "failed to keep a preview", "id", i.ID, "error", err)
		return made, nil
	}
	if _, err := l.catalog.getByID(ctx, i.ID); errors.Is(err, ErrNotFound) {
		if err := l.previews.remove(name); err != nil {
			l.log.WarnContext(ctx, "failed to remove a preview", "id", i.ID, "error", err)
		}
	}
	return made, nil
}

// previewName is where the preview of an image lies, in the previews' folder.
func previewName(picture string) string {
	return strings.TrimSuffix(picture, path.Ext(picture)) + ".jpg"
}

func (l *Library) makePreview(ctx context.Context, i Image) ([]byte, error) {
	return l.withDecoder(ctx, i, func(file io.ReadSeeker) ([]byte, error) {
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

// decodeShrunk reads an image that is wanted with a side of at most limit.
func decodeShrunk(file io.ReadSeeker, mimeType string, limit int) (image.Image, error) {
	if mimeType == "image/png" {
		img, err := shrinkPNG(file, limit)
		if !errors.Is(err, errUnsupportedPNG) {
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
	return l.withDecoder(ctx, i, func(file io.ReadSeeker) ([]byte, error) {
		img, err := decode(file, i.MIMEType)
		if err != nil {
			return nil, err
		}
		for side := max(i.Width, i.Height); side >= 64; side = side * 3 / 4 {
			if b, err := encodeUnder(shrink(img, side), limit, 92, 80, 60); err == nil {
				return b, nil
			}
		}
		return nil, errors.New("the image does not get small enough")
	})
}
