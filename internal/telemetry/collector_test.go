package telemetry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/telemetry"
	"zai-image-mcp/internal/testrig"
)

// Spans that have ended are sent at Close. A request that the collector cannot accept at
// the moment is repeated, and no other one is.
func TestTelemetry_Traces(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		gzip    bool
		answers []int // of the collector, in turn; all are needed
	}{
		{answers: []int{200}},
		{answers: []int{503, 429, 200}},
		{gzip: true, answers: []int{502, 202}},
		{answers: []int{400}},
		{answers: []int{503, 503, 503, 503, 503}},
	} {
		t.Run(fmt.Sprint(test.answers, test.gzip), func(t *testing.T) {
			t.Parallel()
			requests := make(chan string, len(test.answers)+1)
			collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, zipped, err := testrig.ReadBody(r)
				assert.NoError(t, err)
				n := len(requests)
				requests <- fmt.Sprintf("%s %s %s gzip=%t %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"), zipped, text)
				assert.Equal(t, "secret", r.Header.Get("Authorization"))
				w.Header().Set("Retry-After", "0")
				if assert.Less(t, n, len(test.answers)) {
					w.WriteHeader(test.answers[n])
				}
			}))
			defer collector.Close()
			traces, err := telemetry.New(t.Context(), telemetry.Config{Version: "1", Traces: &telemetry.Collector{
				URL: collector.URL + "/v1/traces", Headers: map[string]string{"authorization": "secret"}, Timeout: time.Minute, Gzip: test.gzip,
			}})
			require.NoError(t, err)
			_, span := traces.Tracer().Start(t.Context(), "a call")
			span.End()
			require.NoError(t, traces.Close(t.Context()))
			require.Len(t, requests, len(test.answers))
			for range test.answers {
				request := <-requests
				assert.Contains(t, request, fmt.Sprintf("POST /v1/traces application/x-protobuf gzip=%t ", test.gzip))
				assert.Contains(t, request, "a call")
			}
		})
	}
}
