package tools

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/resources"
)

// previewWait is the default of Config.PreviewWait.
const previewWait = 5 * time.Second

// images is what the result carries of each saved image itself, nil for
// nothing, within room bytes of base64 for all. It steps down by itself from
// the file to a copy to the preview to nothing, and says so in notes.
func (t *tools) images(ctx context.Context, rows []resources.Image, room int) (images []*mcp.ImageContent, notes []string) {
	// The answer does not wait longer for what the images look like.
	ctx, cancel := context.WithTimeout(ctx, t.PreviewWait)
	defer cancel()
	saved := 0
	for _, row := range rows {
		if row.State == resources.Saved {
			saved++
		}
	}
	for _, row := range rows {
		if row.State != resources.Saved {
			continue
		}
		if t.inline(ctx) == InlineNone {
			images = append(images, nil)
			continue
		}
		share := room / saved
		image, note := t.image(ctx, row, share)
		if note != "" {
			notes = append(notes, fmt.Sprintf("Image %s: %s", row.ID, note))
		}
		images = append(images, image)
	}
	return images, notes
}

// inline is what the caller's results carry of images.
func (t *tools) inline(ctx context.Context) Inline {
	if t.InlineFor != nil {
		if wanted := t.InlineFor(ctx); wanted != "" {
			return wanted
		}
	}
	return t.Inline
}

// image fits one image into share bytes of base64.
func (t *tools) image(ctx context.Context, row resources.Image, share int) (image *mcp.ImageContent, note string) {
	const envelope = 200
	limit := (share - envelope) / 4 * 3
	if t.inline(ctx) == InlineFull {
		if b, mimeType, note := t.full(ctx, row, limit); b != nil {
			return imageContent(b, mimeType), note
		}
		note = "too large to be shown here in full, so this is the preview. "
	}
	b, err := t.Library.Preview(ctx, row)
	if err != nil {
		t.Log.WarnContext(ctx, "no preview", "id", row.ID, "error", err)
		return nil, "it is saved, but no preview could be made of it."
	}
	if len(b) > limit {
		return nil, "the preview is left out, as the result would get too large; read the resource."
	}
	return imageContent(b, "image/jpeg"), note
}

// full is the file itself or the best JPEG copy that fits.
func (t *tools) full(ctx context.Context, row resources.Image, limit int) (b []byte, mimeType, note string) {
	if row.Bytes <= int64(limit) {
		b, err := t.Library.Read(ctx, row)
		if err == nil {
			return b, row.MIMEType, ""
		}
		t.Log.WarnContext(ctx, "image cannot be read", "id", row.ID, "error", err)
		return nil, "", ""
	}
	if limit < resources.PreviewBytes {
		return nil, "", ""
	}
	b, err := t.Library.Reencode(ctx, row, limit)
	if err != nil {
		return nil, "", ""
	}
	return b, "image/jpeg", fmt.Sprintf("the original of %s is too large to be shown here, so this is a JPEG copy.", bytesText(row.Bytes))
}

func imageContent(b []byte, mimeType string) *mcp.ImageContent {
	c := mcp.NewImageContent(base64.StdEncoding.EncodeToString(b), mimeType)
	return &c
}
