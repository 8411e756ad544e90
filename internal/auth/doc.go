// Package auth establishes who sends an HTTP request. A Principal owns images,
// sessions and streams; an Authenticator finds the principal of a request and
// reports whether an earlier one may still use the server.
package auth
