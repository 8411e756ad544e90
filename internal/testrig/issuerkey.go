package testrig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// IssuerKey is a key of an Issuer.
type IssuerKey struct {
	ID        string
	Algorithm string // RS256, PS512, ES384, EdDSA, …
	Private   crypto.Signer
}

// NewIssuerKey returns a new key for an algorithm.
func NewIssuerKey(t testing.TB, algorithm string) IssuerKey {
	t.Helper()
	var private crypto.Signer
	var err error
	switch curves := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}; {
	case curves[algorithm] != nil:
		private, err = ecdsa.GenerateKey(curves[algorithm], rand.Reader)
	case algorithm == "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	require.NoError(t, err)
	return IssuerKeyOf(t, algorithm, private)
}

// IssuerKeyOf returns a key for an algorithm.
func IssuerKeyOf(t testing.TB, algorithm string, private crypto.Signer) IssuerKey {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	require.NoError(t, err)
	return IssuerKey{ID: keyID(append(public, algorithm...)), Algorithm: algorithm, Private: private}
}

// JWK returns the public key as issuers publish it.
func (k IssuerKey) JWK() map[string]any {
	jwk := map[string]any{"kid": k.ID, "alg": k.Algorithm, "use": "sig"}
	switch public := k.Private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, _ := public.Bytes() // 4, x, y
		size := len(point) / 2
		jwk["kty"], jwk["crv"] = "EC", public.Params().Name
		jwk["x"], jwk["y"] = encode(point[1:1+size]), encode(point[1+size:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", encode(public)
	}
	return jwk
}

// signature signs a text with the algorithm of the key.
// https://www.rfc-editor.org/rfc/rfc7518#section-3
func (k IssuerKey) signature(t testing.TB, text string) []byte {
	t.Helper()
	if private, ok := k.Private.(ed25519.PrivateKey); ok {
		return ed25519.Sign(private, []byte(text))
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[k.Algorithm[2:]]
	h := hash.New()
	h.Write([]byte(text))
	digest := h.Sum(nil)
	if private, ok := k.Private.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, private, digest)
		require.NoError(t, err)
		size := (private.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	var options crypto.SignerOpts = hash
	if strings.HasPrefix(k.Algorithm, "PS") {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	signature, err := k.Private.Sign(rand.Reader, digest, options)
	require.NoError(t, err)
	return signature
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
