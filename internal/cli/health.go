package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

type healthCommand struct {
	Transport choice `help:"As for serve; with stdio there is nothing to check." enum:"stdio,http,sse" default:"stdio" env:"ZAI_IMAGE_TRANSPORT"`
	Listen    string `help:"As for serve." default:"127.0.0.1:8787" env:"ZAI_IMAGE_LISTEN"`
}

// Run requests /healthz from the server on this machine and fails unless the
// status is 200. If the server listens on all interfaces, Run connects to the
// loopback address.
func (c *healthCommand) Run(ctx context.Context, p *program) error {
	if c.Transport == "stdio" {
		_, err := fmt.Fprintln(p.Stdout, "stdio: there is no address to check")
		return err
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return &usageError{"--listen: " + err.Error(), seeHelp}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	const timeout = 5 * time.Second
	client := &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no server responds: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server responded with status %s", response.Status)
	}
	_, err = fmt.Fprintln(p.Stdout, "ok")
	return err
}
