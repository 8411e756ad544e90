package zai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// downloadLimits limit the download of an image.
type downloadLimits struct {
	maxBytes int64
	total    time.Duration   // for one attempt, headers and body
	window   time.Duration   // over which the rate is measured
	minBytes int64           // that must arrive in each window
	waits    []time.Duration // before the second and each further attempt
}

func defaultDownloadLimits() downloadLimits {
	return downloadLimits{
		maxBytes: MaxImageBytes,
		total:    2 * time.Minute,
		window:   10 * time.Second,
		minBytes: 10 << 10,
		waits:    []time.Duration{time.Second, 2 * time.Second, 4 * time.Second},
	}
}

// MaxImageBytes is the size of the largest image file that is downloaded.
const MaxImageBytes = 32 << 20

// Download opens the image of a response: it requests the link, or decodes the
// bytes that the response contains. Links often work only some seconds after
// the API returned them. Download therefore tries again, by default after 1, 2
// and 4 seconds, if the host responds with 404, 429, a server error or
// something that is not an image, or if the connection fails.
//
// The caller reads the image and closes it. If reading fails, Download can be
// called again, free of charge. ctx must not end before the image is read. All
// errors are *Error of KindDownload.
func (c *Client) Download(ctx context.Context, data ImageData) (*Image, error) {
	if data.URL == "" {
		return openInline(data.B64JSON)
	}
	if inline, ok := cutDataURL(data.URL); ok {
		return openInline(inline)
	}
	link, err := c.parseLink(data.URL)
	if err != nil {
		e := &Error{Kind: KindDownload, Message: "the link to the image is not acceptable", cause: err}
		if len(data.URL) <= maxLink {
			e.URL = data.URL
		}
		return nil, e
	}
	for attempt := 0; ; attempt++ {
		start := c.now()
		image, err := c.fetch(ctx, link)
		c.observe(Attempt{Operation: OperationDownload, Number: attempt + 1, Status: downloadStatus(err), Duration: c.now().Sub(start)})
		if err == nil {
			return image, nil
		}
		if ctx.Err() == nil && attempt < len(c.download.waits) && retryable(err) {
			c.log.InfoContext(ctx, "failed to download an image, retrying", "attempt", attempt+1, "error", c.sanitize(err).Error())
			if sleep(ctx, c.download.waits[attempt]) {
				continue
			}
		}
		return nil, &Error{Kind: KindDownload, URL: data.URL, Message: "downloading the image failed", cause: c.sanitize(err)}
	}
}

// parseLink parses a link. It fails if the link must not be requested.
func (c *Client) parseLink(raw string) (*url.URL, error) {
	if len(raw) > maxLink {
		return nil, fmt.Errorf("%w: it has %d bytes, more than %d", errBadLink, len(raw), maxLink)
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: not a plain address", errBadLink)
	}
	return u, checkLink(u, originOf(c.base))
}

// fetchable reports whether a link may be requested.
func (c *Client) fetchable(link string) bool {
	_, err := c.parseLink(link)
	return err == nil
}

// statusError is an HTTP status other than 200 of the response to a download.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("HTTP %d", int(s)) }

// retryable reports whether a failed download may succeed if it is repeated.
func retryable(err error) bool {
	var status statusError
	switch {
	case errors.As(err, &status):
		return status == http.StatusNotFound || status == http.StatusTooManyRequests || status >= 500
	case errors.Is(err, errForbiddenAddress), errors.Is(err, errBadLink), errors.Is(err, errTooManyPixels), errors.Is(err, errTooManyBytes):
		return false
	default: // not an image yet, or the connection failed
		return true
	}
}

var errTooManyBytes = fmt.Errorf("the file is larger than %d MiB", MaxImageBytes>>20)

// fetch makes one attempt. The connection stays open until the image is closed.
func (c *Client) fetch(ctx context.Context, link *url.URL) (*Image, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.download.total, errTooSlow)
	body, err := c.openBody(ctx, link, cancel)
	if err != nil {
		cancel()
		return nil, err
	}
	image, err := OpenImage(body)
	if err != nil {
		body.Close()
		return nil, err
	}
	image.closer = body
	return image, nil
}

func (c *Client) openBody(ctx context.Context, link *url.URL, cancel context.CancelFunc) (*meteredBody, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, link.String(), nil)
	if err != nil {
		return nil, withoutURL(err)
	}
	request.Header.Set("User-Agent", c.userAgent)
	request.Header.Set("Accept", "image/*")
	// The limits are those of the file. A compressed response could also expand to
	// far more than the bytes that are sent.
	request.Header.Set("Accept-Encoding", "identity")
	response, err := c.images.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	switch {
	case response.StatusCode != http.StatusOK:
		response.Body.Close()
		return nil, statusError(response.StatusCode)
	case response.ContentLength > c.download.maxBytes:
		response.Body.Close()
		return nil, errTooManyBytes
	}
	return newMeteredBody(response.Body, c.download, cancel), nil
}

var errTooSlow = errors.New("the download is too slow")

// meteredBody is a body whose Read fails if the download is too large or too
// slow. A timer checks the rate, so that a Read that receives nothing also
// ends.
type meteredBody struct {
	body   io.ReadCloser
	limits downloadLimits
	cancel context.CancelFunc
	read   int64

	mu     sync.Mutex
	timer  *time.Timer
	recent int64 // bytes in the current window
	slow   bool
	closed bool
}

func newMeteredBody(body io.ReadCloser, limits downloadLimits, cancel context.CancelFunc) *meteredBody {
	m := &meteredBody{body: body, limits: limits, cancel: cancel}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer = time.AfterFunc(limits.window, m.check)
	return m
}

// check ends the download if too few bytes arrived in a window. It runs at the
// end of each window.
func (m *meteredBody) check() {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
	case m.recent < m.limits.minBytes:
		m.slow = true
		m.cancel()
	default:
		m.recent = 0
		m.timer.Reset(m.limits.window)
	}
}

func (m *meteredBody) Read(b []byte) (int, error) {
	n, err := m.body.Read(b)
	m.read += int64(n)
	m.mu.Lock()
	m.recent += int64(n)
	slow := m.slow
	m.mu.Unlock()
	switch {
	case m.read > m.limits.maxBytes:
		return 0, errTooManyBytes
	case slow && err != nil && !errors.Is(err, io.EOF):
		return n, errTooSlow
	case err != nil && !errors.Is(err, io.EOF):
		return n, withoutURL(err)
	}
	return n, err
}

// Close releases the connection and the timer.
func (m *meteredBody) Close() error {
	m.mu.Lock()
	m.closed = true
	m.timer.Stop()
	m.mu.Unlock()
	err := m.body.Close()
	m.cancel()
	return err
}
