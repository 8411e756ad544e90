package web

import (
	"errors"
	"net/http"
	"strings"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/limit"
	"zai-image-mcp/internal/transport"
)

// retryIssuer is the time in seconds after which clients ask again while tokens
// cannot be checked.
const retryIssuer = "15"

// denied answers a request whose sender may not use the server.
func (s *Server) denied(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Connection", "close") // unauthenticated clients get no keep-alive
	forbidden, isForbidden := errors.AsType[*auth.ForbiddenError](err)
	_, lacksScope := errors.AsType[*auth.ScopeError](err)
	switch {
	case isForbidden:
		s.logDenied(r, err)
		transport.Reject(w, r, http.StatusForbidden, sentence(forbidden.Reason))
	case s.Issuer == nil:
		unauthorized(w, r)
	case lacksScope:
		s.logDenied(r, err)
		s.insufficientScope(w, r)
	case errors.Is(err, auth.ErrNoPrincipal):
		s.challenge(w, r, err)
	default:
		s.logDenied(r, err)
		s.issuerUnavailable(w, r)
	}
}

// challenge asks for a token and says where to get one. Only a client that sent
// a token hears of an error: others would take their login for broken.
// https://www.rfc-editor.org/rfc/rfc9728#section-5.1
func (s *Server) challenge(w http.ResponseWriter, r *http.Request, err error) {
	parameters := s.challengeParameters(r)
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(token) != "" {
		s.logDenied(r, err)
		reason := "the token is not known"
		if bad, ok := errors.AsType[*auth.TokenError](err); ok {
			reason = bad.Reason
		}
		parameters = append(parameters, parameter("error", "invalid_token"), parameter("error_description", reason))
	}
	w.Header().Set("WWW-Authenticate", "Bearer "+strings.Join(parameters, ", "))
	http.Error(w, "This server needs a token: sign in at its issuer, which the metadata names, or send Authorization: Bearer TOKEN.", http.StatusUnauthorized)
}

// insufficientScope asks for a token with more scopes. It names all of them, so
// that a client asks once.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/authorization#scope-challenge-handling
func (s *Server) insufficientScope(w http.ResponseWriter, r *http.Request) {
	scopes := strings.Join(s.Issuer.Scopes(), " ")
	parameters := append(s.challengeParameters(r), parameter("error", "insufficient_scope"), parameter("error_description", "the token lacks a scope"))
	w.Header().Set("WWW-Authenticate", "Bearer "+strings.Join(parameters, ", "))
	transport.Reject(w, r, http.StatusForbidden, "The token lacks a scope; this needs "+scopes+".")
}

// challengeParameters returns the parameters that all challenges have.
func (s *Server) challengeParameters(r *http.Request) []string {
	endpoint := "/mcp"
	if s.SSE && (r.URL.Path == "/sse" || r.URL.Path == "/message") {
		endpoint = "/sse"
	}
	parameters := []string{parameter("realm", realm), parameter("resource_metadata", s.metadataAddress(endpoint))}
	if scopes := s.Issuer.Scopes(); len(scopes) > 0 {
		parameters = append(parameters, parameter("scope", strings.Join(scopes, " ")))
	}
	return parameters
}

// parameter returns a parameter of a challenge. The values of errors may have
// only these characters.
// https://www.rfc-editor.org/rfc/rfc6750#section-3
func parameter(name, value string) string {
	value = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, value)
	return name + `="` + value + `"`
}

// issuerUnavailable asks the client to come back. Without an answer of the
// issuer a token is neither good nor bad, and a 401 would make clients throw
// good tokens away.
func (s *Server) issuerUnavailable(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", retryIssuer)
	transport.Reject(w, r, http.StatusServiceUnavailable, "The issuer of the tokens does not answer; try again later.")
}

// permit refuses a call that needs a scope which its token lacks. The client
// can then ask for another token before anything is generated.
func (s *Server) permit(w http.ResponseWriter, r *http.Request, request *transport.Request) bool {
	if s.Issuer == nil || !request.ReadOnly || !s.App.Generates(request) {
		return true
	}
	s.insufficientScope(w, r)
	return false
}

// logDenied logs why a token was not accepted. Anybody can cause such messages.
func (s *Server) logDenied(r *http.Request, err error) {
	s.refusals.Do(func() {
		s.Log.InfoContext(r.Context(), "refused a token", "reason", err, "path", limit.Clip(r.URL.Path))
	})
}

// sentence returns text as a sentence.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}
