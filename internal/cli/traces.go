package cli

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"zai-image-mcp/internal/telemetry"
)

// collector returns the collector of traces that the variables of OpenTelemetry name,
// nil if there is none. If a variable is not valid, it logs the reason and returns nil:
// hosts hand down variables that are meant for other programs.
func (p *program) collector(log *slog.Logger) *telemetry.Collector {
	if p.Env("OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
		return nil
	}
	c, err := readCollector(func(name string) string {
		return cmp.Or(p.Env("OTEL_EXPORTER_OTLP_TRACES_"+name), p.Env("OTEL_EXPORTER_OTLP_"+name))
	}, p.Env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
	if err != nil {
		log.Warn("sending no traces: a variable of OpenTelemetry is not valid", "error", err)
		return nil
	}
	return c
}

// readCollector reads the settings of a collector. setting returns the value of the
// variable whose name ends like this. exact is the URL of the traces; if it is "", they
// are sent to /v1/traces below the URL in ENDPOINT.
func readCollector(setting func(name string) string, exact string) (*telemetry.Collector, error) {
	const defaultTimeout = 10_000 // milliseconds
	endpoint, err := url.Parse(cmp.Or(exact, setting("ENDPOINT")))
	if err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" {
		return nil, errors.New("ENDPOINT is not an http or https URL")
	}
	if exact == "" {
		endpoint = endpoint.JoinPath("v1", "traces")
	}
	timeout, err := strconv.Atoi(cmp.Or(setting("TIMEOUT"), strconv.Itoa(defaultTimeout)))
	if err != nil || timeout <= 0 {
		return nil, errors.New("TIMEOUT is not a number of milliseconds")
	}
	headers, err := readHeaders(setting("HEADERS"))
	if err != nil {
		return nil, err
	}
	config, err := readTLS(setting)
	if err != nil {
		return nil, err
	}
	return &telemetry.Collector{
		URL: endpoint.String(), Headers: headers, Timeout: time.Duration(timeout) * time.Millisecond,
		Gzip: setting("COMPRESSION") == "gzip", TLS: config,
	}, nil
}

// readHeaders parses name=value pairs with commas between them and percent-encoded
// values. Its errors contain no values, because these are often secrets.
func readHeaders(list string) (map[string]string, error) {
	headers := map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || err != nil || http.CanonicalHeaderKey(name) == "" || strings.ContainsAny(name+value, "\r\n") {
			return nil, errors.New("HEADERS is not a list of name=value")
		}
		headers[name] = value
	}
	return headers, nil
}

// readTLS reads the files of certificates. It returns nil if none is set.
func readTLS(setting func(name string) string) (*tls.Config, error) {
	authority, certificate, key := setting("CERTIFICATE"), setting("CLIENT_CERTIFICATE"), setting("CLIENT_KEY")
	if authority == "" && certificate == "" {
		return nil, nil //nolint:nilnil // the default
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if authority != "" {
		text, err := os.ReadFile(authority) //nolint:gosec // the user chooses the path
		if err != nil {
			return nil, fmt.Errorf("CERTIFICATE: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("CERTIFICATE: the file contains no certificate")
		}
	}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("CLIENT_CERTIFICATE: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
