package zai

import (
	"encoding/base64"
	"io"
	"strings"
)

// cutDataURL returns the base64 text of a data URL (RFC 2397). It ignores the
// declared type.
func cutDataURL(text string) (inline string, ok bool) {
	const scheme = "data:"
	if len(text) < len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
		return "", false
	}
	head, inline, ok := strings.Cut(text, ",")
	return inline, ok && len(head) <= 200 && strings.HasSuffix(strings.ToLower(head), ";base64")
}

// decodeInline decodes base64 (RFC 4648) in either alphabet, with or without
// padding.
func decodeInline(inline string) io.Reader {
	inline = strings.TrimRight(inline, "= \r\n")
	if strings.ContainsAny(inline, "-_") {
		return base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(inline))
	}
	return base64.NewDecoder(base64.RawStdEncoding, strings.NewReader(inline))
}

// isInlineImage reports whether a text begins like an image file in base64.
func isInlineImage(text string) bool {
	if len(text) < 64 {
		return false
	}
	head := make([]byte, 12)
	if _, err := io.ReadFull(decodeInline(text[:64]), head); err != nil {
		return false
	}
	_, err := DetectFormat(head)
	return err == nil
}

// openInline opens an image that a response contains as base64.
func openInline(inline string) (*Image, error) {
	inline = strings.TrimSpace(inline)
	if content, ok := cutDataURL(inline); ok {
		inline = content
	}
	if base64.StdEncoding.DecodedLen(len(inline)) > MaxImageBytes+2 {
		return nil, &Error{Kind: KindDownload, Message: "the image is too large", cause: errTooManyBytes}
	}
	image, err := OpenImage(decodeInline(inline))
	if err != nil {
		return nil, &Error{Kind: KindDownload, Message: "the response contains no readable image", cause: err}
	}
	return image, nil
}
