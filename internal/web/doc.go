// Package web is the HTTP server: it opens the listener, checks the Host,
// Origin and token of each request, and routes it to the MCP transports, to
// downloads, or to health and metrics.
package web
