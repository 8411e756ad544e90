package zai

import (
	"net/http"
	"net/netip"
	"time"
)

// WithDownloadLimits lets tests reach the limits quickly.
func WithDownloadLimits(maxBytes int64, total, window time.Duration, minBytes int64) Option {
	return func(s *settings) error {
		s.download = downloadLimits{maxBytes, total, window, minBytes, defaultDownloadLimits().waits}
		return nil
	}
}

// MaxDownload is the byte limit and the time limit of one download.
func MaxDownload() (int64, time.Duration) {
	limits := defaultDownloadLimits()
	return limits.maxBytes, limits.total
}

// UsesProxy tells whether images of foreign hosts come through a proxy,
// behind which the guard would see nothing.
func (c *Client) UsesProxy() bool {
	return c.images.Transport.(imageTransport).guarded.(*http.Transport).Proxy != nil
}

// Forbidden tells what the guard says of an address that is dialled.
func Forbidden(network, address string) error {
	return addressGuard{forbidden: specialRanges()}.control(network, address, nil)
}

// SpecialRanges is the guard's table.
func SpecialRanges() []netip.Prefix { return specialRanges() }

// AnswerError judges an answer without an image.
func AnswerError(status int, header http.Header, body []byte) *Error {
	return responseError(&response{status: status, header: header, body: body})
}

// BilledTransport tells what requests that cost money are sent over, and
// whether their connections are used again.
func (c *Client) BilledTransport() (protocols string, reused bool) {
	t := c.billed.Transport.(*http.Transport)
	return t.Protocols.String(), !t.DisableKeepAlives
}
