package auth

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// maxJWT is the maximum length of an access token in bytes.
const maxJWT = 16 << 10

// Reasons why a token is not accepted. Each is sent to the client as the
// error_description of RFC 6750, so it has no quotes, backslashes or characters
// beyond ASCII, and it repeats nothing of the token.
var (
	errNotJWT    = &TokenError{"the token is not a signed JWT"}
	errTooLong   = &TokenError{"the token is longer than 16 KiB"}
	errAlgorithm = &TokenError{"the signature algorithm of the token is not accepted"}
	errType      = &TokenError{"the token is not an access token"}
	errCritical  = &TokenError{"the token has a critical header that is not supported"}
	errClaims    = &TokenError{"the claims of the token are not a JSON object"}
	errIdentity  = &TokenError{"the token is an identity token and not an access token"}
	errIssuer    = &TokenError{"the token is of another issuer"}
	errAudience  = &TokenError{"the token is for another audience"}
	errEndless   = &TokenError{"the token has no expiry time"}
	errExpired   = &TokenError{"the token has expired"}
	errEarly     = &TokenError{"the token is not valid yet"}
	errNumber    = &TokenError{"a time in the token is not a number"}
	errKey       = &TokenError{"the token is signed with an unknown key"}
	errSignature = &TokenError{"the signature of the token is not valid"}
)

// bearer returns the credential of the header Authorization: Bearer.
// https://www.rfc-editor.org/rfc/rfc6750#section-2.1
func bearer(r *http.Request) (credential string, ok bool) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || value == "" {
		return "", false
	}
	return strings.TrimSpace(value), true
}

// jwt is a token whose signature was not checked yet.
type jwt struct {
	signed    *jose.JSONWebSignature
	algorithm jose.SignatureAlgorithm
	keyID     string // "" if the token names no key
	claims    claims
}

// compactJWS reports whether a text has the form of a signed JWT: three parts in
// base64url.
func compactJWS(text string) bool {
	other := func(r rune) bool {
		return (r < 'a' || 'z' < r) && (r < 'A' || 'Z' < r) && (r < '0' || '9' < r) && r != '-' && r != '_'
	}
	parts := strings.Split(text, ".")
	return len(parts) == 3 && !slices.ContainsFunc(parts, func(part string) bool {
		return part == "" || strings.ContainsFunc(part, other)
	})
}

// signatureAlgorithms returns the algorithms of public keys. A token that names
// another one, like none or HS256, is not even parsed.
func signatureAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

// parseJWT decodes a token and checks its header. Of the header, it uses only alg,
// kid and typ: keys that a token brings or refers to prove nothing.
func parseJWT(text string) (*jwt, error) {
	switch {
	case len(text) > maxJWT:
		return nil, errTooLong
	case !compactJWS(text):
		return nil, errNotJWT
	}
	signed, err := jose.ParseSignedCompact(text, signatureAlgorithms())
	if err != nil {
		return nil, parseError(err)
	}
	header := signed.Signatures[0].Protected
	if _, critical := header.ExtraHeaders["crit"]; critical {
		return nil, errCritical
	}
	if typ, present := header.ExtraHeaders[jose.HeaderType]; present && !acceptedType(typ) {
		return nil, errType
	}
	token := &jwt{signed: signed, algorithm: jose.SignatureAlgorithm(header.Algorithm), keyID: header.KeyID}
	token.claims, err = parseClaims(signed.UnsafePayloadWithoutVerification())
	return token, err
}

func parseError(err error) error {
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return errAlgorithm
	}
	return errNotJWT
}

// acceptedType reports whether the header typ is one of access tokens: that of
// RFC 9068, or that of issuers that do not know it. Other kinds of signed JWT, like
// a grant that is to be exchanged for an access token, have types of their own.
func acceptedType(typ any) bool {
	text, _ := typ.(string)
	switch strings.ToLower(text) {
	case "at+jwt", "application/at+jwt", "jwt":
		return true
	}
	return false
}
