package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector is a server that receives traces by OTLP over HTTP.
type Collector struct {
	URL     string // of the traces
	Headers map[string]string
	Timeout time.Duration // of a request
	Gzip    bool          // compress requests
	TLS     *tls.Config   // nil for the default
}

// uploader sends traces to a Collector. The exporter for HTTP of OpenTelemetry does
// the same, but it links gRPC, which makes the program 3 MB larger.
type uploader struct {
	collector Collector
	client    *http.Client
}

var _ otlptrace.Client = (*uploader)(nil)

func newUploader(c Collector) *uploader {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented
	transport.TLSClientConfig = c.TLS
	return &uploader{c, &http.Client{Transport: transport, Timeout: c.Timeout}}
}

// Start implements otlptrace.Client.
func (u *uploader) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (u *uploader) Stop(context.Context) error {
	u.client.CloseIdleConnections()
	return nil
}

const (
	uploadAttempts = 5
	uploadBackoff  = time.Second // before the second attempt, then twice as long each time
)

// UploadTraces implements otlptrace.Client. It repeats a request that the collector
// cannot accept at the moment, until ctx ends.
func (u *uploader) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := u.body(spans)
	if err != nil {
		return err
	}
	backoff := uploadBackoff
	for attempt := 1; ; attempt++ {
		wait, err := u.send(ctx, body, backoff)
		if err == nil || wait < 0 || attempt == uploadAttempts {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		backoff *= 2
	}
}

// body encodes an ExportTraceServiceRequest, whose only field is that of TracesData.
func (u *uploader) body(spans []*tracepb.ResourceSpans) ([]byte, error) {
	raw, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil || !u.collector.Gzip {
		return raw, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err = w.Write(raw)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// send sends one request. If it fails, wait is the time after which it may be repeated:
// backoff unless the collector names another, or negative if it must not be repeated.
func (u *uploader) send(ctx context.Context, body []byte, backoff time.Duration) (wait time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.collector.URL, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	for name, value := range u.collector.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	if u.collector.Gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := u.client.Do(request)
	if err != nil {
		return -1, err
	}
	defer response.Body.Close()
	const longest = 64 << 10 // bytes that are read, so that the connection can be used again
	_, _ = io.CopyN(io.Discard, response.Body, longest)
	if response.StatusCode/100 == 2 {
		return 0, nil
	}
	err = fmt.Errorf("the collector of traces answered %s", response.Status)
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if seconds, parseErr := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16); parseErr == nil {
			return time.Duration(seconds) * time.Second, err
		}
		return backoff, err
	}
	return -1, err
}
