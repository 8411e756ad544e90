package testrig

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// authorize signs Subject in and sends the browser back with a code. Only a public client
// of Clients that uses PKCE may ask for that.
// https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	request := r.URL.Query()
	redirect, known := i.Clients[request.Get("client_id")]
	if !known || redirect != request.Get("redirect_uri") || request.Get("response_type") != "code" || request.Get("code_challenge_method") != "S256" || request.Get("code_challenge") == "" {
		http.Error(w, "wrong authorization request", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	i.mu.Lock()
	i.codes[code] = request
	i.mu.Unlock()
	answer := url.Values{"code": {code}, "state": {request.Get("state")}, "iss": {i.URL}}
	http.Redirect(w, r, redirect+"?"+answer.Encode(), http.StatusFound)
}

// redeem exchanges a code for an access token, once.
// https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3
func (i *Issuer) redeem(w http.ResponseWriter, r *http.Request) {
	code := r.PostFormValue("code")
	i.mu.Lock()
	request, known := i.codes[code]
	delete(i.codes, code)
	i.mu.Unlock()
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	same := func(name string) bool { return slices.Equal(request[name], r.PostForm[name]) }
	switch {
	case r.Method != http.MethodPost || r.PostFormValue("grant_type") != "authorization_code":
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"})
	case !known || !same("client_id") || !same("redirect_uri") || !same("resource") || encode(challenge[:]) != request.Get("code_challenge"):
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "the code is not valid"})
	default:
		claims := i.Claims(i.Subject, map[string]any{"aud": request.Get("resource"), "scope": strings.TrimSpace(request.Get("scope"))})
		writeJSON(w, http.StatusOK, map[string]any{"access_token": i.Sign(claims, nil), "token_type": "Bearer", "expires_in": 3600})
	}
}
