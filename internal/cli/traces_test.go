package cli_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/cli"
	"zai-image-mcp/internal/telemetry"
)

// The variables of OpenTelemetry name the collector of traces. Errors do not contain
// headers, which are often secrets.
func TestCollector(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		exact    string
		settings map[string]string
		want     telemetry.Collector
		problem  string
	}{
		"defaults":           {settings: map[string]string{"ENDPOINT": "http://c:4318"}, want: telemetry.Collector{URL: "http://c:4318/v1/traces"}},
		"with a path":        {settings: map[string]string{"ENDPOINT": "https://c/otlp/"}, want: telemetry.Collector{URL: "https://c/otlp/v1/traces"}},
		"URL of the traces":  {exact: "http://c/x", settings: map[string]string{"ENDPOINT": "http://other"}, want: telemetry.Collector{URL: "http://c/x"}},
		"headers":            {settings: map[string]string{"ENDPOINT": "http://c", "HEADERS": "a=b%20c, d=e=f,"}, want: telemetry.Collector{URL: "http://c/v1/traces", Headers: map[string]string{"a": "b c", "d": "e=f"}}},
		"time limit":         {settings: map[string]string{"ENDPOINT": "http://c", "TIMEOUT": "500"}, want: telemetry.Collector{URL: "http://c/v1/traces", Timeout: time.Second / 2}},
		"gzip":               {settings: map[string]string{"ENDPOINT": "http://c", "COMPRESSION": "gzip"}, want: telemetry.Collector{URL: "http://c/v1/traces", Gzip: true}},
		"no URL":             {settings: map[string]string{"ENDPOINT": "collector"}, problem: "ENDPOINT"},
		"other scheme":       {settings: map[string]string{"ENDPOINT": "unix:///socket"}, problem: "ENDPOINT"},
		"bad time limit":     {settings: map[string]string{"ENDPOINT": "http://c", "TIMEOUT": "10s"}, problem: "TIMEOUT"},
		"bad headers":        {settings: map[string]string{"ENDPOINT": "http://c", "HEADERS": "secret"}, problem: "HEADERS"},
		"missing authority":  {settings: map[string]string{"ENDPOINT": "http://c", "CERTIFICATE": "/missing"}, problem: "CERTIFICATE"},
		"missing client key": {settings: map[string]string{"ENDPOINT": "http://c", "CLIENT_CERTIFICATE": "/missing"}, problem: "CLIENT_CERTIFICATE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := cli.Collector(func(name string) string { return test.settings[name] }, test.exact)
			if test.problem != "" {
				require.ErrorContains(t, err, test.problem)
				assert.NotContains(t, err.Error(), "secret")
				return
			}
			require.NoError(t, err)
			if test.want.Timeout == 0 {
				test.want.Timeout = 10 * time.Second
			}
			if test.want.Headers == nil {
				test.want.Headers = map[string]string{}
			}
			assert.Equal(t, &test.want, got)
		})
	}
}
