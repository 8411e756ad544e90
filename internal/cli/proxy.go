package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"zai-image-mcp/internal/terminal"
	"zai-image-mcp/zai"
)

// warnOfProxy tells before the first payment what may keep its image away. A
// person at a terminal, who sees no warnings of the log, is told as well.
func (p *program) warnOfProxy(client *zai.Client, atTerminal bool, log *slog.Logger) {
	if client == nil {
		return
	}
	switch proxy := proxyFor(client.BaseURL()); {
	case proxy == "":
	case atTerminal:
		fmt.Fprintln(p.err, "Note: "+terminal.ProxyWarning(proxy)+".")
	default:
		log.Warn("found a proxy that images are not downloaded through", "proxy", proxy, "meaning", terminal.ProxyWarning(proxy))
	}
}

// proxyFor returns the proxy that requests to an address go through, without
// its password, and "" for none.
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
