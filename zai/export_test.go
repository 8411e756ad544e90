package zai

import (
	"net/http"
	"time"
)

// WithDownloadLimits replaces the limits of downloads.
func WithDownloadLimits(maxBytes int64, total, window time.Duration, minBytes int64) Option {
	return func(s *settings) error {
		s.download = downloadLimits{maxBytes, total, window, minBytes, defaultDownloadLimits().waits}
		return nil
	}
}

// MaxDownload returns the default limits of a download: bytes and duration.
func MaxDownload() (int64, time.Duration) {
	limits := defaultDownloadLimits()
	return limits.maxBytes, limits.total
}

// UsesProxy reports whether images outside the base URL's origin are downloaded
// through a proxy, which would hide the address from the check.
func (c *Client) UsesProxy() bool {
	return c.images.Transport.(imageTransport).guarded.(*http.Transport).Proxy != nil
}

// CheckAddress checks an address that is about to be dialled.
func CheckAddress(network, address string) error { return checkAddress()(network, address, nil) }

// ResponseError returns the error for a response without an image.
func ResponseError(status int, header http.Header, body []byte) *Error {
	return responseError(newResponse(status, header, body))
}

// BilledTransport returns the protocols of billed requests, and whether billed
// requests reuse connections.
func (c *Client) BilledTransport() (protocols string, reused bool) {
	t := c.billed.Transport.(*http.Transport)
	return t.Protocols.String(), !t.DisableKeepAlives
}
