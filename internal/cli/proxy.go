package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"zai-image-mcp/zai"
)

// warnOfProxy warns, before the first payment, of a proxy that API calls use and
// downloads do not. At a terminal, where warnings are not logged, it prints a
// note instead.
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

// proxyWarning returns the text that explains the effect of a proxy on downloads.
func proxyWarning(proxy string) string {
	return "API calls go through the proxy " + proxy + ", but images are downloaded without one: if this machine cannot connect directly, images are paid for but cannot be downloaded"
}

// proxyFor returns the proxy for requests to an address, without credentials, or
// "" for none. Package zai uses the same proxy: net/http reads it from the
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
