package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// SignIn signs users in at an issuer with their browsers and gets access tokens for them.
// It is a public client: it has no secret, and proves by PKCE that it began the sign-in.
// https://www.rfc-editor.org/rfc/rfc6749#section-4.1
// https://www.rfc-editor.org/rfc/rfc7636
type SignIn struct {
	issuer      *OIDC
	client      *http.Client // follows no redirects: they would carry the code elsewhere
	clientID    string
	redirectURI string
	resource    string // that tokens are for; "" to leave that to the issuer
}

// SignIn returns a SignIn for a client that is registered at the issuer with a redirect
// URI.
func (o *OIDC) SignIn(clientID, redirectURI string) *SignIn {
	client := *o.config.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s := &SignIn{issuer: o, client: &client, clientID: clientID, redirectURI: redirectURI}
	if first := o.config.Audiences[0]; isResource(first) {
		s.resource = first
	}
	return s
}

// isResource reports whether an audience can be asked for. Some issuers write an id of
// another form into aud, and know what a token is for by its scopes.
// https://www.rfc-editor.org/rfc/rfc8707#section-2
func isResource(audience string) bool {
	u, err := url.Parse(audience)
	return err == nil && u.IsAbs() && u.Fragment == ""
}

// Host returns the host of the issuer.
func (s *SignIn) Host() string {
	host, _, _ := strings.Cut(ownerPrefix(s.issuer.config.Issuer), "/")
	return host
}

// URL returns the address at which a user signs in. The issuer sends the browser back to
// the redirect URI with state, which only that browser may know.
func (s *SignIn) URL(ctx context.Context, state, verifier string) (string, error) {
	found, err := s.metadata(ctx)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(found.Authorization)
	if err != nil {
		return "", err
	}
	challenge := sha256.Sum256([]byte(verifier))
	query := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": s.clientID, "redirect_uri": s.redirectURI, "scope": strings.Join(s.issuer.Scopes(), " "), "resource": s.resource,
		"state": state, "code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// metadata returns the metadata of the issuer. It fails if nobody can sign in there.
func (s *SignIn) metadata(ctx context.Context) (metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	set, _, err := s.issuer.keys.keys(ctx)
	switch {
	case err != nil:
		return metadata{}, err
	case set.metadata.Authorization == "" || set.metadata.Token == "":
		return metadata{}, errors.New("the metadata of the issuer have no authorization_endpoint and token_endpoint with https, or with http on this machine")
	}
	return set.metadata, nil
}

// Token returns the access token of a user who came back to the redirect URI with an
// answer of the issuer. The caller has checked its state. It fails with a *SignInError if
// the issuer did not sign the user in, and with another error if it cannot be asked.
func (s *SignIn) Token(ctx context.Context, answer url.Values, verifier string) (string, error) {
	found, err := s.metadata(ctx)
	if err != nil {
		return "", err
	}
	// https://www.rfc-editor.org/rfc/rfc9207#section-2.4
	if issuers := answer["iss"]; len(issuers) == 0 && found.NamesIssuer || len(issuers) > 0 && !slices.Equal(issuers, []string{found.Issuer}) {
		return "", &SignInError{"the answer is not of this issuer"}
	}
	if answer.Has("error") {
		return "", refusal(answer.Get("error"), answer.Get("error_description"))
	}
	code := answer.Get("code")
	if code == "" {
		return "", &SignInError{"the answer has no code"}
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {s.redirectURI}, "client_id": {s.clientID},
	}
	if s.resource != "" {
		form.Set("resource", s.resource)
	}
	return s.redeem(ctx, found.Token, form)
}

// redeem sends a code to the token endpoint and returns the access token.
func (s *SignIn) redeem(ctx context.Context, address string, form url.Values) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	response, err := s.client.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := readDocument(response, address)
	if err != nil {
		return "", err
	}
	var grant struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	err = json.Unmarshal(text, &grant)
	clientError := response.StatusCode/100 == 4 && response.StatusCode != http.StatusTooManyRequests
	switch {
	case err == nil && clientError && grant.Error != "":
		return "", refusal(grant.Error, grant.Description)
	case response.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%s: %s", address, response.Status)
	case err != nil:
		return "", fmt.Errorf("%s: %w", address, err)
	case grant.AccessToken == "":
		return "", fmt.Errorf("%s: the response has no access_token", address)
	}
	return grant.AccessToken, nil
}

// refusal returns the error that an issuer answers.
// https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1
func refusal(code, description string) error {
	const maxReason = 300
	reason := cmp.Or(code, "no reason")
	if description != "" {
		reason += ": " + description
	}
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return &SignInError{reason}
}
