package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"zai-image-mcp/zai"
)

// warnOfProxy warns, before the first payment, of a proxy that downloads do not
// use. For a person at a terminal, whose log has no warnings, it prints a note.
func (p *program) warnOfProxy(client *zai.Client, atTerminal bool, log *slog.Logger) {
	if client == nil {
		return
	}
	switch proxy := proxyFor(client.BaseURL()); {
	case proxy == "":
	case atTerminal:
		fmt.Fprintln(p.Stderr, "Note: "+proxyWarning(proxy)+".")
	default:
		log.Warn("found a proxy that images are not downloaded through", "proxy", proxy, "meaning", proxyWarning(proxy))
	}
}

// proxyWarning explains what a proxy for API calls means for downloads.
func proxyWarning(proxy string) string {
	return "API calls go through the proxy " + proxy + ", but images are downloaded without one: if there is no other way out, an image is paid for and cannot be fetched"
}

// proxyFor returns the proxy for requests to an address, without its password,
// and "" for none. It is the one that package zai uses: Go reads it from the
// environment of the process.
func proxyFor(address string) string {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, http.NoBody)
	if err != nil {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(request)
	if err != nil || proxy == nil {
		return ""
	}
	return (&url.URL{Scheme: proxy.Scheme, Host: proxy.Host}).String()
}
