package auth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/auth"
	"zai-image-mcp/internal/testrig"
)

type fields = map[string]any

func TestOIDC_Algorithms(t *testing.T) {
	w := newOIDCRig(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, algorithm := range []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	} {
		t.Run(algorithm, func(t *testing.T) {
			key := testrig.NewIssuerKey(t, "EdDSA")
			if algorithm[1] == 'S' && algorithm[0] != 'E' {
				key = testrig.IssuerKeyOf(t, algorithm, private)
			} else if algorithm != "EdDSA" {
				key = testrig.NewIssuerKey(t, algorithm)
			}
			w.issuer.Publish(key.JWK())
			w.pass(time.Minute)
			token := key.Sign(t, w.issuer.Claims("alice", nil), nil)
			p, err := w.check(token)
			require.NoError(t, err)
			assert.True(t, strings.HasSuffix(p.Owner, "/alice"), p.Owner)
			assert.True(t, w.Valid(p))

			last := token[len(token)-10]
			changed := token[:len(token)-10] + map[bool]string{true: "B", false: "A"}[last == 'A'] + token[len(token)-9:]
			_, err = w.check(changed)
			require.ErrorContains(t, err, "signature")
		})
	}
}

// reason is the form of what can be part of a quoted header field.
var reason = regexp.MustCompile(`^[ !#-\[\]-~]+$`)

// tokenTest is a token that is accepted if refused is empty.
type tokenTest struct {
	claims, header fields // changes
	refused        string
}

func TestOIDC_Claims(t *testing.T) {
	w := newOIDCRig(t)
	now := w.time().Unix()
	_, err := w.check(w.issuer.Token("alice", nil)) // fetches the keys
	require.NoError(t, err)
	for name, tt := range map[string]tokenTest{
		"plain":                    {},
		"one of several audiences": {claims: fields{"aud": []string{"other", w.issuer.Audience}}},
		"audience missing":         {claims: fields{"aud": nil}, refused: "for another audience"},
		"other audience":           {claims: fields{"aud": "other"}, refused: "for another audience"},
		"audience with a slash":    {claims: fields{"aud": w.issuer.Audience + "/"}, refused: "for another audience"},
		"audience in capitals":     {claims: fields{"aud": strings.ToUpper(w.issuer.Audience)}, refused: "for another audience"},
		"no audience in the list":  {claims: fields{"aud": []string{}}, refused: "for another audience"},
		"odd list of audiences":    {claims: fields{"aud": []any{w.issuer.Audience, 1}}, refused: "for another audience"},
		"audience as an object":    {claims: fields{"aud": fields{"a": w.issuer.Audience}}, refused: "for another audience"},

		"issuer missing":          {claims: fields{"iss": nil}, refused: "of another issuer"},
		"other issuer":            {claims: fields{"iss": "https://evil.example.com"}, refused: "of another issuer"},
		"issuer with a slash":     {claims: fields{"iss": w.issuer.URL + "/"}, refused: "of another issuer"},
		"issuer with two":         {claims: fields{"iss": w.issuer.URL + "//"}, refused: "of another issuer"},
		"issuer below":            {claims: fields{"iss": w.issuer.URL + "/x"}, refused: "of another issuer"},
		"issuer in capitals":      {claims: fields{"iss": strings.ToUpper(w.issuer.URL)}, refused: "of another issuer"},
		"issuer in a list":        {claims: fields{"iss": []string{w.issuer.URL}}, refused: "of another issuer"},
		"claim names in capitals": {claims: fields{"iss": nil, "ISS": w.issuer.URL}, refused: "of another issuer"},

		"expiry missing":       {claims: fields{"exp": nil}, refused: "no expiry time"},
		"expiry as a text":     {claims: fields{"exp": "9999999999"}, refused: "not a number"},
		"expiry null":          {claims: fields{"exp": (*int)(nil)}, refused: "not a number"},
		"expiry never":         {claims: fields{"exp": 1e300}, refused: "not a number"},
		"expiry with fraction": {claims: fields{"exp": float64(now) + 5.75}},
		"expired within skew":  {claims: fields{"exp": now - 59}},
		"expired":              {claims: fields{"exp": now - 60}, refused: "^the token has expired$"},
		"expired long ago":     {claims: fields{"exp": -1}, refused: "^the token has expired$"},
		"begins within skew":   {claims: fields{"nbf": now + 60}},
		"begins later":         {claims: fields{"nbf": now + 61}, refused: "not valid yet"},
		"begins with fraction": {claims: fields{"nbf": float64(now) + 60.5}, refused: "not valid yet"},
		"begins as a text":     {claims: fields{"nbf": "0"}, refused: "not a number"},
		"issued within skew":   {claims: fields{"iat": now + 60}},
		"issued later":         {claims: fields{"iat": now + 61}, refused: "not valid yet"},
		"issued missing":       {claims: fields{"iat": nil}},
		"issued with fraction": {claims: fields{"iat": float64(now) - 0.5}},

		"access token hash":        {claims: fields{"at_hash": "x"}, refused: "identity token"},
		"code hash":                {claims: fields{"c_hash": "x"}, refused: "identity token"},
		"identity token, Keycloak": {claims: fields{"typ": "ID"}, refused: "identity token"},
		"access token, Keycloak":   {claims: fields{"typ": "Bearer"}},
		"nonce":                    {claims: fields{"nonce": "x"}},

		"type in capitals":        {header: fields{"typ": "AT+JWT"}},
		"type with application":   {header: fields{"typ": "application/at+jwt"}},
		"type JWT":                {header: fields{"typ": "JWT"}},
		"type missing":            {header: fields{"typ": nil}},
		"type empty":              {header: fields{"typ": ""}, refused: "not an access token"},
		"type of a grant":         {header: fields{"typ": "oauth-id-jag+jwt"}, refused: "not an access token"},
		"type of a logout token":  {header: fields{"typ": "logout+jwt"}, refused: "not an access token"},
		"type of a proof":         {header: fields{"typ": "dpop+jwt"}, refused: "not an access token"},
		"type as a number":        {header: fields{"typ": 1}, refused: "not an access token"},
		"critical header":         {header: fields{"crit": []string{"exp"}, "exp": 1}, refused: "critical header"},
		"critical base64":         {header: fields{"crit": []string{"b64"}, "b64": true}, refused: "critical header"},
		"no critical header":      {header: fields{"crit": []string{}}, refused: "critical header"},
		"algorithm missing":       {header: fields{"alg": nil}, refused: "algorithm"},
		"algorithm none":          {header: fields{"alg": "none"}, refused: "algorithm"},
		"algorithm None":          {header: fields{"alg": "None"}, refused: "algorithm"},
		"algorithm HS256":         {header: fields{"alg": "HS256"}, refused: "algorithm"},
		"algorithm es256":         {header: fields{"alg": "es256"}, refused: "algorithm"},
		"algorithm as a number":   {header: fields{"alg": 1}, refused: "algorithm"},
		"algorithm of RSA":        {header: fields{"alg": "RS256"}, refused: "signature"},
		"algorithm of a curve":    {header: fields{"alg": "ES384"}, refused: "signature"},
		"key as a number":         {header: fields{"kid": 1}, refused: "not a signed JWT"},
		"key missing":             {header: fields{"kid": nil}},
		"other addresses of keys": {header: fields{"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/cert"}},
	} {
		t.Run(name, func(t *testing.T) {
			fetches := w.issuer.Fetches()
			_, err := w.check(w.issuer.Sign(w.issuer.Claims("alice", tt.claims), tt.header))
			assert.Equal(t, fetches, w.issuer.Fetches(), "the keys are known")
			if tt.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, auth.ErrNoPrincipal)
			var refusal *auth.TokenError
			require.ErrorAs(t, err, &refusal)
			assert.Regexp(t, tt.refused, refusal.Reason)
			assert.Regexp(t, reason, refusal.Reason)
		})
	}
}

// What does not look like a signed JWT is refused without asking the issuer.
func TestOIDC_NotJWT(t *testing.T) {
	w := newOIDCRig(t)
	token := w.issuer.Token("alice", nil)
	parts := strings.Split(token, ".")
	other := testrig.NewIssuerKey(t, "ES256")
	for name, text := range map[string]string{
		"opaque":               "0123456789abcdef0123456789abcdef",
		"two parts":            parts[0] + "." + parts[1],
		"no signature":         parts[0] + "." + parts[1] + ".",
		"no payload":           parts[0] + ".." + parts[2],
		"no header":            "." + parts[1] + "." + parts[2],
		"encrypted":            token + ".AAAA.AAAA",
		"padding":              token + "=",
		"standard base64":      parts[0] + "." + parts[1] + "." + "+/" + parts[2],
		"line break":           parts[0] + ".\n" + parts[1] + "." + parts[2],
		"space":                parts[0] + ". " + parts[1] + "." + parts[2],
		"JSON serialization":   `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"header is no JSON":    "AAAA." + parts[1] + "." + parts[2],
		"header is a list":     base64.RawURLEncoding.EncodeToString([]byte(`[]`)) + "." + parts[1] + "." + parts[2],
		"algorithm none":       base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "." + parts[2],
		"two algorithms":       base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","alg":"none"}`)) + "." + parts[1] + "." + parts[2],
		"payload is no JSON":   other.SignBytes(t, []byte("text"), nil),
		"payload is a list":    other.SignBytes(t, []byte("[]"), nil),
		"payload is null":      other.SignBytes(t, []byte("null"), nil),
		"payload is truncated": other.SignBytes(t, []byte(`{"iss":`), nil),
		"longer than 16 KiB":   w.issuer.Token("alice", fields{"x": strings.Repeat("x", 12<<10)}),
	} {
		_, err := w.check(text)
		require.ErrorIs(t, err, auth.ErrNoPrincipal, name)
		var refusal *auth.TokenError
		require.ErrorAs(t, err, &refusal, name)
		assert.Regexp(t, reason, refusal.Reason, name)
	}
	assert.Zero(t, w.issuer.Fetches())
	_, err := w.check(w.issuer.Token("alice", fields{"x": strings.Repeat("x", 11<<10)}))
	require.NoError(t, err, "almost 16 KiB")
}

func TestOIDC_Header(t *testing.T) {
	w := newOIDCRig(t)
	token := w.issuer.Token("alice", nil)
	for _, tt := range []struct {
		header   string
		accepted bool
	}{
		{"Bearer " + token, true},
		{"bearer " + token, true},
		{"Bearer  " + token, true},
		{"", false},
		{"Bearer", false},
		{"Bearer ", false},
		{"Basic " + token, false},
		{"DPoP " + token, false},
		{token, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/mcp?access_token="+token, http.NoBody)
		r.Header.Set("Authorization", tt.header)
		_, err := w.Authenticate(r)
		if tt.accepted {
			require.NoError(t, err, tt.header)
			continue
		}
		assert.Equal(t, auth.ErrNoPrincipal, err, "%q is no token at all", tt.header)
	}
}

func TestOIDC_Scopes(t *testing.T) {
	const read, generate = "images:read", "https://images.example.com/mcp/Images.Generate"
	w := newOIDCRig(t, func(c *auth.OIDCConfig) { c.ReadScope, c.GenerateScope = read, generate })
	assert.Equal(t, []string{read, generate}, w.Scopes())
	for name, tt := range map[string]struct {
		claims   fields
		enters   bool
		readOnly bool
	}{
		"none":               {claims: fields{}},
		"others":             {claims: fields{"scope": "openid images:reader"}},
		"read":               {claims: fields{"scope": "openid images:read"}, enters: true, readOnly: true},
		"scp, text":          {claims: fields{"scp": "images:read"}, enters: true, readOnly: true},
		"scp, list":          {claims: fields{"scp": []string{"openid", "images:read"}}, enters: true, readOnly: true},
		"scope, list":        {claims: fields{"scope": []string{read, generate}}, enters: true},
		"both claims":        {claims: fields{"scope": read, "scp": generate}, enters: true},
		"short name":         {claims: fields{"scp": "images:read Images.Generate"}, enters: true},
		"long name":          {claims: fields{"scp": read + " " + generate}, enters: true},
		"of another":         {claims: fields{"scp": read + " https://evil.example.com/Images.Generate"}, enters: true, readOnly: true},
		"read, of another":   {claims: fields{"scp": "https://evil.example.com/" + read}},
		"in capitals":        {claims: fields{"scope": "IMAGES:READ"}},
		"generate only":      {claims: fields{"scope": generate}},
		"a number":           {claims: fields{"scope": 1}},
		"an object":          {claims: fields{"scope": fields{read: true}}},
		"a list with number": {claims: fields{"scope": []any{read, 1}}},
	} {
		p, err := w.check(w.issuer.Token("alice", tt.claims))
		if !tt.enters {
			var missing *auth.ScopeError
			require.ErrorAs(t, err, &missing, name)
			assert.Equal(t, read, missing.Scope)
			require.NotErrorIs(t, err, auth.ErrNoPrincipal)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, tt.readOnly, p.ReadOnly, name)
	}
	for name, tt := range map[string]struct {
		read, generate string
		scopes         []string
		readOnly       bool
	}{
		"no scopes":     {},
		"read only":     {read: "r", scopes: []string{"r"}},
		"generate only": {generate: "g", scopes: []string{"g"}, readOnly: true},
		"ends in slash": {generate: "x/", scopes: []string{"x/"}, readOnly: true},
	} {
		w := newOIDCRig(t, func(c *auth.OIDCConfig) { c.ReadScope, c.GenerateScope = tt.read, tt.generate })
		p, err := w.check(w.issuer.Token("alice", fields{"scope": "r "}))
		require.NoError(t, err, name)
		assert.Equal(t, tt.readOnly, p.ReadOnly, name)
		assert.Equal(t, tt.scopes, w.Scopes(), name)
	}
}

func TestOIDC_Owner(t *testing.T) {
	long := strings.Repeat("é", 128)
	for name, tt := range map[string]struct {
		claim   string
		claims  fields
		owner   string
		refused string
	}{
		"subject":            {claim: "sub", owner: "00u1"},
		"other claim":        {claim: "oid", claims: fields{"oid": "a-b"}, owner: "a-b"},
		"other script":       {claim: "sub", claims: fields{"sub": "アリス"}, owner: "アリス"},
		"slash":              {claim: "sub", claims: fields{"sub": "a/b|c"}, owner: "a/b|c"},
		"longest":            {claim: "sub", claims: fields{"sub": long}, owner: long},
		"too long":           {claim: "sub", claims: fields{"sub": long + "é"}, refused: "1 to 128 characters"},
		"empty":              {claim: "sub", claims: fields{"sub": ""}, refused: "1 to 128 characters"},
		"missing":            {claim: "oid", refused: "no claim oid"},
		"null":               {claim: "oid", claims: fields{"oid": (*int)(nil)}, refused: "not a text"},
		"number":             {claim: "uid", claims: fields{"uid": 1000}, refused: "not a text"},
		"list":               {claim: "uid", claims: fields{"uid": []string{"a"}}, refused: "not a text"},
		"space":              {claim: "sub", claims: fields{"sub": "a b"}, refused: "spaces or invisible"},
		"no-break space":     {claim: "sub", claims: fields{"sub": "a\u00a0b"}, refused: "spaces or invisible"},
		"line break":         {claim: "sub", claims: fields{"sub": "a\nb"}, refused: "spaces or invisible"},
		"control character":  {claim: "sub", claims: fields{"sub": "a\x00b"}, refused: "spaces or invisible"},
		"delete":             {claim: "sub", claims: fields{"sub": "a\x7fb"}, refused: "spaces or invisible"},
		"direction":          {claim: "sub", claims: fields{"sub": "a\u202eb"}, refused: "spaces or invisible"},
		"isolate":            {claim: "sub", claims: fields{"sub": "a\u2066b"}, refused: "spaces or invisible"},
		"zero width":         {claim: "sub", claims: fields{"sub": "a\u200bb"}, refused: "spaces or invisible"},
		"variation":          {claim: "sub", claims: fields{"sub": "a\ufe0f"}, refused: "spaces or invisible"},
		"filler":             {claim: "sub", claims: fields{"sub": "\u3164"}, refused: "spaces or invisible"},
		"replacement":        {claim: "sub", claims: fields{"sub": "a\ufffd"}, refused: "spaces or invisible"},
		"email":              {claim: "email", claims: fields{"email": "a@example.com"}, owner: "a@example.com"},
		"verified email":     {claim: "email", claims: fields{"email": "a@example.com", "email_verified": true}, owner: "a@example.com"},
		"unverified email":   {claim: "email", claims: fields{"email": "a@example.com", "email_verified": false}, refused: "not verified"},
		"unverified by text": {claim: "email", claims: fields{"email": "a@example.com", "email_verified": "false"}, refused: "not verified"},
		"email beside":       {claim: "sub", claims: fields{"email_verified": false}, owner: "00u1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOIDCRig(t, func(c *auth.OIDCConfig) { c.OwnerClaim = tt.claim })
			p, err := w.check(w.issuer.Token("00u1", tt.claims))
			if tt.refused != "" {
				var forbidden *auth.ForbiddenError
				require.ErrorAs(t, err, &forbidden)
				require.NotErrorIs(t, err, auth.ErrNoPrincipal, "another token would not help")
				assert.Contains(t, forbidden.Reason, tt.refused)
				assert.Regexp(t, reason, forbidden.Reason)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, strings.TrimPrefix(w.issuer.URL, "http://")+"/"+tt.owner, p.Owner)
		})
	}
	w := newOIDCRig(t)
	key := w.issuer.Key()
	_, err := w.check(key.SignBytes(t, []byte(`{"iss":"`+w.issuer.URL+`","aud":"`+w.issuer.Audience+`","exp":99999999999,"sub":"a`+"\xff"+`"}`), nil))
	require.ErrorContains(t, err, "spaces or invisible", "different invalid bytes are not one owner")
}

func TestOIDC_Principal(t *testing.T) {
	w := newOIDCRig(t)
	claims := w.issuer.Claims("alice", fields{"exp": 1795521600.5})
	token := w.issuer.Sign(claims, nil)
	first, err := w.check(token)
	require.NoError(t, err)
	second, err := w.check(token)
	require.NoError(t, err)
	assert.Equal(t, first, second)
	assert.True(t, first == second, "principals are comparable") //nolint:testifylint // == is what callers use
	assert.Equal(t, time.Unix(1795521600, 5e8).UTC(), first.Expires)
	assert.True(t, first.Authenticated())
	assert.NotContains(t, first.Credential, token)

	other, err := w.check(w.issuer.Sign(claims, fields{"typ": "JWT"}))
	require.NoError(t, err)
	assert.NotEqual(t, first.Credential, other.Credential)
	assert.Equal(t, first.Owner, other.Owner)

	w.pass(100 * 24 * time.Hour)
	assert.True(t, w.Valid(first), "expiry is checked elsewhere")
}

// Principals of another authenticator are not valid.
func TestOIDC_Valid(t *testing.T) {
	w, foreign := newOIDCRig(t), newOIDCRig(t)
	file, err := auth.LoadTokenFile(testrig.TokenFile(t, "alice:"+aliceToken))
	require.NoError(t, err)
	mine, err := w.check(w.issuer.Token("alice", nil))
	require.NoError(t, err)
	theirs, err := foreign.check(foreign.issuer.Token("alice", nil))
	require.NoError(t, err)
	filed, err := authenticate(file, aliceToken)
	require.NoError(t, err)

	assert.True(t, w.Valid(mine))
	assert.False(t, w.Valid(theirs))
	assert.False(t, w.Valid(filed))
	assert.False(t, w.Valid(auth.Local()))
	assert.False(t, w.Valid(auth.Principal{Owner: mine.Owner, Credential: mine.Credential[:32]}))
	assert.False(t, file.Valid(mine))
	assert.True(t, file.Valid(filed))

	both := auth.Combine(file, w.OIDC)
	for _, p := range []auth.Principal{mine, filed} {
		assert.True(t, both.Valid(p))
	}
	for _, p := range []auth.Principal{theirs, auth.Local()} {
		assert.False(t, both.Valid(p))
	}
}

func TestNewOIDC(t *testing.T) {
	good := auth.OIDCConfig{
		Issuer: "https://id.example.com", Audiences: []string{"a"}, OwnerClaim: "sub",
		HTTP: &http.Client{}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	for issuer, accepted := range map[string]bool{
		"https://id.example.com": true, "https://id.example.com/": true, "https://id.example.com:8443/realms/a": true,
		"http://127.0.0.1:8080": true, "http://[::1]:8080/x": true, "http://localhost": true,
		"http://id.example.com": false, "http://127.0.0.1.example.com": false, "http://localhost.example.com": false,
		"": false, "id.example.com": false, "https://": false, "https:///x": false, "ftp://127.0.0.1": false,
		"https://user@id.example.com": false, "https://id.example.com?x": false, "https://id.example.com/#x": false,
		"https://id.example.com/a b": false, "https://id.example.com/é": false, "http://0.0.0.0": false,
	} {
		c := good
		c.Issuer = issuer
		_, err := auth.NewOIDC(c)
		assert.Equal(t, accepted, err == nil, issuer)
	}
	for name, change := range map[string]func(*auth.OIDCConfig){
		"no audience":    func(c *auth.OIDCConfig) { c.Audiences = nil },
		"empty audience": func(c *auth.OIDCConfig) { c.Audiences = []string{""} },
		"no claim":       func(c *auth.OIDCConfig) { c.OwnerClaim = "" },
		"quote in claim": func(c *auth.OIDCConfig) { c.OwnerClaim = `a"b` },
		"space in scope": func(c *auth.OIDCConfig) { c.ReadScope = "a b" },
		"quote in scope": func(c *auth.OIDCConfig) { c.GenerateScope = `a"` },
	} {
		c := good
		change(&c)
		_, err := auth.NewOIDC(c)
		assert.Error(t, err, name)
	}
}

// A token in the file is looked up first, so that it works also without the issuer.
func TestCombine(t *testing.T) {
	w := newOIDCRig(t)
	path := testrig.TokenFile(t, "alice:"+aliceToken)
	file, err := auth.LoadTokenFile(path)
	require.NoError(t, err)
	both := auth.Combine(file, w.OIDC)

	p, err := authenticate(both, aliceToken)
	require.NoError(t, err)
	assert.Equal(t, "alice", p.Owner)
	assert.Zero(t, w.issuer.Fetches())

	p, err = authenticate(both, w.issuer.Token("alice", nil))
	require.NoError(t, err)
	assert.Equal(t, strings.TrimPrefix(w.issuer.URL, "http://")+"/alice", p.Owner, "not the owner of the file")

	_, err = authenticate(both, bobToken)
	require.ErrorIs(t, err, auth.ErrNoPrincipal)
	changed, err := both.(auth.Reloader).Reload(true)
	require.NoError(t, err)
	assert.True(t, changed)
}

func TestOIDC_EmbeddedKey(t *testing.T) {
	w := newOIDCRig(t)
	forger := testrig.NewIssuerKey(t, "ES256")
	jwk := maps.Clone(forger.JWK())
	jwk["kid"] = w.issuer.Key().ID
	_, err := w.check(forger.Sign(t, w.issuer.Claims("alice", nil), fields{"jwk": jwk, "kid": w.issuer.Key().ID}))
	require.ErrorContains(t, err, "signature")
	_, err = w.check(w.issuer.Sign(w.issuer.Claims("alice", nil), fields{"jwk": jwk}))
	require.NoError(t, err, "it is ignored")
}
