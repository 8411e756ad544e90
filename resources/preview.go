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

	"zai-image-mcp/resources/pixels"
)

const (
	// PreviewSide is the longest side of a preview in pixels.
	PreviewSide = 512
	// PreviewBytes is the maximum size of a preview, which is 100 KB as base64.
	PreviewBytes = 75_000
	// smallestCopy is the longest side in pixels below which images are not scaled down to
	// make a file small enough.
	smallestCopy = 64
)

// Preview returns a JPEG with a label, whose sides are at most PreviewSide and whose size
// is at most PreviewBytes. It is made once and stored without its label. If ctx ends,
// Preview returns at once, and the preview is still made in the background for the next
// call.
func (l *Library) Preview(ctx context.Context, i Image) ([]byte, error) {
	if i.State != Saved {
		return nil, fmt.Errorf("%w: it is not saved", ErrNotFound)
	}
	if stored := l.storedPreview(ctx, i); stored != nil {
		return stored, nil
	}
	call := l.previewCalls.DoChan(i.ID, func() (any, error) { return l.newPreview(context.WithoutCancel(ctx), i) })
	select {
	case made := <-call:
		if made.Err != nil {
			return nil, made.Err
		}
		return l.labelJPEG(ctx, i, made.Val.([]byte)), nil //nolint:forcetypeassert // the function above returns bytes
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// storedPreview returns the stored preview of an image with its label, or nil if there is
// no usable one. Earlier versions of this program left no room for the label.
func (l *Library) storedPreview(ctx context.Context, i Image) []byte {
	file, err := l.previews.Open(ctx, previewName(i.Path))
	if err != nil {
		return nil
	}
	defer file.Close()
	const jpegMagic = "\xff\xd8\xff"
	b, err := io.ReadAll(io.LimitReader(file, PreviewBytes+1))
	if err != nil || len(b) > PreviewBytes || !bytes.HasPrefix(b, []byte(jpegMagic)) {
		return nil
	}
	if b = l.labelJPEG(ctx, i, b); len(b) > PreviewBytes {
		return nil
	}
	return b
}

// newPreview makes a preview and stores it. It deletes the stored preview if the
// image was removed meanwhile.
func (l *Library) newPreview(ctx context.Context, i Image) ([]byte, error) {
	made, err := l.makePreview(ctx, i)
	if err != nil {
		return nil, err
	}
	name := previewName(i.Path)
	if _, _, err := l.previews.Put(ctx, name, bytes.NewReader(made)); err != nil {
		l.log.WarnContext(ctx, "failed to store a preview", "id", i.ID, "error", err)
		return made, nil
	}
	if _, err := l.image(ctx, i.ID); errors.Is(err, ErrNotFound) {
		if err := l.previews.Delete(ctx, name); err != nil {
			l.log.WarnContext(ctx, "failed to remove a preview", "id", i.ID, "error", err)
		}
	}
	return made, nil
}

// previewName returns the name of an image's preview, given
// the name of the image's file.
func previewName(imageName string) string {
	return strings.TrimSuffix(imageName, path.Ext(imageName)) + ".jpg"
}

func (l *Library) makePreview(ctx context.Context, i Image) ([]byte, error) {
	return l.withDecoder(ctx, i, func(file io.ReadSeeker) ([]byte, error) { return l.encodePreview(ctx, i, file) })
}

// encodePreview returns a file of an image's MIME type as a preview without its label.
func (l *Library) encodePreview(ctx context.Context, i Image, file io.ReadSeeker) ([]byte, error) {
	marks, room, err := l.jpegMarks(ctx, i, file, PreviewBytes)
	if err != nil {
		return nil, err
	}
	img, err := decodeShrunk(file, i.MIMEType, PreviewSide)
	if err != nil {
		return nil, err
	}
	for side := PreviewSide; side >= smallestCopy; side /= 2 {
		img = pixels.Shrink(img, side)
		if b, err := encodeUnder(img, room, 80, 60, 40); err == nil {
			return l.carry(ctx, i, b, "image/jpeg", marks), nil
		}
	}
	return nil, errors.New("the preview is too large at every size")
}

// decodeShrunk decodes an image and scales it down to a side of at most limit
// pixels.
func decodeShrunk(file io.ReadSeeker, mimeType string, limit int) (image.Image, error) {
	if shrink := shrinker(mimeType); shrink != nil {
		img, err := shrink(file, limit)
		if !errors.Is(err, pixels.ErrUnsupported) {
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
	return pixels.Shrink(img, limit), nil
}

// shrinker returns a function that decodes some files of a type directly at a smaller
// size, or nil. The function fails with pixels.ErrUnsupported for the others.
func shrinker(mimeType string) func(io.Reader, int) (image.Image, error) {
	switch mimeType {
	case "image/png":
		return pixels.ShrinkPNG
	case "image/jpeg":
		return pixels.ShrinkJPEG
	default:
		return nil
	}
}

// Reencode returns the image as a JPEG of at most limit bytes with a label, and with the
// largest dimensions that fit.
func (l *Library) Reencode(ctx context.Context, i Image, limit int) ([]byte, error) {
	return l.withDecoder(ctx, i, func(file io.ReadSeeker) ([]byte, error) {
		marks, room, err := l.jpegMarks(ctx, i, file, limit)
		if err != nil {
			return nil, err
		}
		img, err := decode(file, i.MIMEType)
		if err != nil {
			return nil, err
		}
		for side := max(img.Bounds().Dx(), img.Bounds().Dy()); ; {
			if b, err := encodeUnder(pixels.Shrink(img, side), room, 92, 80, 60); err == nil {
				return l.labelJPEG(ctx, i, l.carry(ctx, i, b, "image/jpeg", marks)), nil
			}
			if side = side * 3 / 4; side < smallestCopy {
				return nil, errors.New("the image is too large at every size")
			}
		}
	})
}
