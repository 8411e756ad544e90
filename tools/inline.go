package tools

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/resources"
)

// defaultPreviewWait is the default of Config.PreviewWait.
const defaultPreviewWait = 5 * time.Second

// contentEnvelope is the size of the JSON around the base64 of an image, in bytes.
const contentEnvelope = 200

// inlineImages returns one element for each saved image: its content for the
// result, or nil if the result contains no form of it. All contents together
// take at most room bytes of JSON. If the requested form is too large, a
// smaller one replaces it (the file, a JPEG copy, the preview, nothing) and a
// note reports that.
func (t *tools) inlineImages(ctx context.Context, caller Caller, images []resources.Image, room int) (contents []*mcp.ImageContent, notes []string) {
	ctx, cancel := context.WithTimeout(ctx, t.PreviewWait)
	defer cancel()
	saved := 0
	for _, i := range images {
		if i.State == resources.Saved {
			saved++
		}
	}
	inline := cmp.Or(caller.Inline, t.Inline)
	for _, i := range images {
		if i.State != resources.Saved {
			continue
		}
		if inline == InlineNone {
			contents = append(contents, nil)
			continue
		}
		content, note := t.inlineImage(ctx, i, inline, room/saved)
		if note != "" {
			notes = append(notes, fmt.Sprintf("Image %s: %s", i.ID, note))
		}
		contents = append(contents, content)
	}
	return contents, notes
}

// inlineImage returns the content of one image in at most size bytes of JSON,
// and a note if that is not the requested form.
func (t *tools) inlineImage(ctx context.Context, i resources.Image, inline Inline, size int) (content *mcp.ImageContent, note string) {
	limit := (size - contentEnvelope) / 4 * 3
	if inline == InlineFull {
		if b, mimeType, note := t.fullImage(ctx, i, limit); b != nil {
			return imageContent(b, mimeType), note
		}
		note = "too large to be shown here in full, so this is the preview. "
	}
	b, err := t.Library.Preview(ctx, i)
	if err != nil {
		t.Log.WarnContext(ctx, "failed to make a preview", "id", i.ID, "error", err)
		return nil, "it is saved, but no preview could be made of it."
	}
	if len(b) > limit {
		return nil, "the preview is left out, as the result would become too large; read the resource."
	}
	return imageContent(b, "image/jpeg"), note
}

// fullImage returns the file itself, or the best JPEG copy of at most limit
// bytes. b is nil if neither is available.
func (t *tools) fullImage(ctx context.Context, i resources.Image, limit int) (b []byte, mimeType, note string) {
	if i.Bytes <= int64(limit) {
		b, err := t.Library.Read(ctx, i)
		if err == nil {
			return b, i.MIMEType, ""
		}
		t.Log.WarnContext(ctx, "failed to read an image", "id", i.ID, "error", err)
		return nil, "", ""
	}
	if limit < resources.PreviewBytes {
		return nil, "", ""
	}
	b, err := t.Library.Reencode(ctx, i, limit)
	if err != nil {
		return nil, "", ""
	}
	return b, "image/jpeg", fmt.Sprintf("the original of %s is too large to be shown here, so this is a JPEG copy.", formatBytes(i.Bytes))
}

func imageContent(b []byte, mimeType string) *mcp.ImageContent {
	c := mcp.NewImageContent(base64.StdEncoding.EncodeToString(b), mimeType)
	return &c
}
