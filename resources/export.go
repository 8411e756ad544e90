package resources

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"zai-image-mcp/resources/label"
	"zai-image-mcp/resources/render"
)

// Export is a file made from a saved image, with its label.
type Export struct {
	Spec          render.Spec
	Data          []byte
	MIMEType      string
	SHA256        string  // of Data in hex
	Width, Height int     // pixels
	Enlarged      bool    // it was scaled up
	Cleared       float64 // share of the pixels that became transparent, 0 to 1
	Signed        bool    // it is the unchanged original, which has Content Credentials
}

// Export makes a file from a saved image. Files whose pixels differ from the original are
// kept in the cache. Export fails with a *render.SpecError if the image has no plain
// background that could become transparent.
func (l *Library) Export(ctx context.Context, i Image, s render.Spec) (Export, error) {
	list, err := l.Exports(ctx, i, s)
	if err != nil {
		return Export{}, err
	}
	return list[0], nil
}

// Exports makes several files like Export, in the order of specs. It decodes the image at
// most once. Equal calls are made once. If ctx ends, Exports returns at once, and gives up
// its place in the queue unless another caller waits for the same files.
func (l *Library) Exports(ctx context.Context, i Image, specs ...render.Spec) ([]Export, error) {
	if i.State != Saved {
		return nil, fmt.Errorf("%w: it is not saved", ErrNotFound)
	}
	list := make([]Export, len(specs))
	var (
		others []render.Spec // whose pixels differ from the original
		at     []int         // their positions in list
	)
	for n, s := range specs {
		e, ok, err := l.unchangedExport(ctx, i, s)
		switch {
		case err != nil:
			return nil, err
		case ok:
			list[n] = e
		default:
			others, at = append(others, s), append(at, n)
		}
	}
	results, err := l.rendered(ctx, i, others)
	if err != nil {
		return nil, err
	}
	for n, r := range results {
		list[at[n]] = l.export(ctx, i, others[n], r)
	}
	return list, nil
}

// rendered returns the results of rendering a saved image for each spec, without our label.
// It makes those that the cache lacks.
func (l *Library) rendered(ctx context.Context, i Image, specs []render.Spec) ([]render.Result, error) {
	list, missing := l.cachedExports(ctx, i, specs)
	if len(missing) == 0 {
		return list, nil
	}
	var wanted []render.Spec
	for _, n := range missing {
		wanted = append(wanted, specs[n])
	}
	made, err := l.renderCalls.do(ctx, fmt.Sprint(i.ID, wanted), func(ctx context.Context) ([]render.Result, error) {
		return l.renderAll(ctx, i, wanted)
	})
	if err != nil {
		return nil, err
	}
	for n, r := range made {
		list[missing[n]] = r
	}
	return list, nil
}

// unchangedExport returns the original with the label, or without it if it has Content
// Credentials, whose signature any change breaks. ok is false if the spec changes its
// pixels, or if it cannot be labelled: a decoder may accept what is not a valid file, and
// rendering makes one of it.
func (l *Library) unchangedExport(ctx context.Context, i Image, s render.Spec) (e Export, ok bool, err error) {
	if format, known := render.FormatOfType(i.MIMEType); !known || !s.Unchanged(format) {
		return Export{}, false, nil
	}
	original, err := l.Read(ctx, i)
	if err != nil {
		return Export{}, false, err
	}
	marked, err := l.label(original, i.MIMEType, l.labelOf(i))
	signed := errors.Is(err, label.ErrSigned)
	if err != nil && !signed {
		return Export{}, false, nil
	}
	e = newExport(s, marked, render.Result{Width: i.Width, Height: i.Height})
	e.Signed = signed
	return e, true, nil
}

// export returns a rendered file with the label.
func (l *Library) export(ctx context.Context, i Image, s render.Spec, r render.Result) Export {
	marked, err := l.label(r.Data, s.Format.MIMEType(), l.labelOf(i))
	if err != nil {
		l.log.ErrorContext(ctx, "failed to label an export", "id", i.ID, "spec", s.String(), "error", err)
	}
	return newExport(s, marked, r)
}

func newExport(s render.Spec, data []byte, r render.Result) Export {
	sum := sha256.Sum256(data)
	return Export{
		Spec: s, Data: data, MIMEType: s.Format.MIMEType(), SHA256: hex.EncodeToString(sum[:]),
		Width: r.Width, Height: r.Height, Enlarged: r.Enlarged, Cleared: r.Cleared,
	}
}

// renderAll renders a saved image for each spec, with the original's marks, and stores the
// results in the cache. It uses those that the cache has by now.
func (l *Library) renderAll(ctx context.Context, i Image, specs []render.Spec) ([]render.Result, error) {
	if err := l.renderSlots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer l.renderSlots.Release(1)
	list, missing := l.cachedExports(ctx, i, specs)
	if len(missing) == 0 {
		return list, nil
	}
	original, err := l.Read(ctx, i)
	if err != nil {
		return nil, err
	}
	err = l.limitDecoding(ctx, bytes.NewReader(original), i.MIMEType, renderMemory(i, specs), func(file io.ReadSeeker) error {
		img, err := decode(file, i.MIMEType)
		if err != nil {
			return decodeError(err)
		}
		source := render.NewSource(img)
		for _, n := range missing {
			if err := ctx.Err(); err != nil { // nobody waits any more
				return err
			}
			if list[n], err = source.Render(specs[n]); err != nil {
				return fmt.Errorf("rendering %s: %w", specs[n], err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	marks := l.marksOf(i, bytes.NewReader(original))
	for _, n := range missing {
		list[n].Data = l.carry(ctx, i, list[n].Data, specs[n].Format.MIMEType(), marks)
		l.cacheExport(ctx, i, specs[n], list[n])
	}
	return list, nil
}

// renderMemory estimates the memory in bytes that renderings take besides the decoded
// image. They are made one after the other.
func renderMemory(i Image, specs []render.Spec) (memory int64) {
	const (
		pixel  = 16 // bytes of a pixel of the result: scaled, padded, and in the encoder
		column = 32 // bytes of a pixel that was scaled in one direction
	)
	for _, s := range specs {
		width, height := int64(s.Width), int64(s.Height)
		if width == 0 {
			width, height = int64(i.Width), int64(i.Height)
		}
		memory = max(memory, pixel*width*height+column*width*min(int64(i.Height), 4*height))
	}
	return memory
}
