package zai

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	backoffBase   = time.Second
	backoffMax    = 8 * time.Second
	retryAfterMax = 30 * time.Second
)

// backoff returns how long to wait after the given attempt: the time that the
// server asked for, at most retryAfterMax, or otherwise a random part of a
// limit that doubles with each attempt ("full jitter").
func (c *Client) backoff(attempt int, asked time.Duration) time.Duration {
	if asked > 0 {
		return min(asked, retryAfterMax)
	}
	return c.jitter(min(backoffBase<<(attempt-1), backoffMax))
}

// retryAfter returns the delay in a Retry-After header, which is a number of
// seconds or a date (RFC 9110, 10.2.3). It returns 0 if the header is absent or
// invalid.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// withoutURL removes the URL from an error of net/http, because image links
// contain signatures.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
