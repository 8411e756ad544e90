// Package transport carries MCP messages over stdio, Streamable HTTP (with
// sessions, and stateless from protocol 2026-07-28 on) and HTTP+SSE, between
// clients and a Handler. It implements the protocol, limits what clients can
// use, and does not depend on images.
//
// mcp-go's own transports are not used: over stdio they run at most a hundred
// calls, answer cancelled ones, lose a cancel that directly follows its call,
// abandon calls at the end of input and write progress after the answer. Over
// HTTP they read bodies of any size, keep any number of sessions and streams,
// let one client cancel another's call, lose the last notification before a
// result, and accept requests of any web page.
package transport
