package zai

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// redact replaces the key in text that came from outside with ***. If a service
// repeats the key in an error, the key would otherwise appear in logs and
// conversations. A key that was cut off is recognized by its first characters.
func (c *Client) redact(text string) string {
	key := c.key.value
	text = strings.NewReplacer(key, "***", url.QueryEscape(key), "***",
		base64.StdEncoding.EncodeToString([]byte(key)), "***").Replace(text)
	const keyPrefixLen = 8
	if len(key) >= 2*keyPrefixLen {
		text = strings.ReplaceAll(text, key[:keyPrefixLen], "***")
	}
	return text
}

// sanitizedError replaces the text of an error that may contain what the
// service sent.
type sanitizedError struct {
	error
	text string
}

func (e sanitizedError) Error() string { return e.text }
func (e sanitizedError) Unwrap() error { return e.error }

// sanitize removes the URL and the key from an error of net/http and limits its
// length.
func (c *Client) sanitize(err error) error {
	err = withoutURL(err)
	return sanitizedError{err, clip(c.redact(clip(err.Error(), 4<<10)), 500)}
}

// complete removes the key from e, sets RetryAfter, and adds the hints that
// depend on the configuration of the client.
func (c *Client) complete(e *Error, header http.Header) *Error {
	e.Message, e.Code = c.redact(e.Message), c.redact(e.Code)
	e.RequestID, e.LogID = c.redact(e.RequestID), c.redact(e.LogID)
	e.Answer = strings.ToValidUTF8(head(c.redact(printable(e.Answer)), maxExcerpt), "")
	e.RetryAfter = retryAfter(header, c.now())
	switch e.Kind {
	case KindUnauthorized:
		e.Hint = fmt.Sprintf("Check ZAI_API_KEY: it was refused by region %s at %s, and a key works only on the platform that issued it; "+
			"if the other platform issued it, set --region %s (%s).", c.region, c.base, c.region.Other(), c.region.Other().BaseURL())
	case KindWrongRegion:
		e.Hint = fmt.Sprintf("Check ZAI_BASE_URL and --region: %s is used now; region %s is %s and region %s is %s.",
			c.base, Global, Global.BaseURL(), China, China.BaseURL())
	case KindNoBalance:
		e.Hint = fmt.Sprintf("Ask the user to recharge the account of region %s, or to check that the key and the base URL (%s) belong to a plan "+
			"with image models. This is not a rate limit: calling again does not help.", c.region, c.base)
	}
	return e
}
