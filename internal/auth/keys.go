package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keySet is what an issuer publishes about itself. It does not change.
type keySet struct {
	metadata metadata
	keys     []jose.JSONWebKey
	asked    time.Time // when the issuer was asked for the keys
}

// parseKeys reads a JSON Web Key Set. It leaves out keys that cannot sign tokens.
func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	const maxKeys = 100
	var set struct{ Keys *[]json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	if set.Keys == nil {
		return nil, errors.New("not a key set")
	}
	if len(*set.Keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range *set.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err == nil && usable(key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// usable reports whether a key can check signatures. RSA keys must not be so short
// that they can be broken. The parser refuses those so long that a check would take
// milliseconds; see jose.MaxRSAModulusBits.
func usable(key jose.JSONWebKey) bool {
	const minRSA = 2048 // bits
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false // a private or symmetric key, or one of an unknown type
}

// fits reports whether a key is meant for an algorithm.
func fits(key jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if key.Algorithm != "" && key.Algorithm != string(algorithm) {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		switch algorithm {
		case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512:
			return true
		}
	case *ecdsa.PublicKey:
		switch algorithm {
		case jose.ES256:
			return k.Curve.Params().BitSize == 256
		case jose.ES384:
			return k.Curve.Params().BitSize == 384
		case jose.ES512:
			return k.Curve.Params().BitSize == 521
		}
	case ed25519.PublicKey:
		return algorithm == jose.EdDSA
	}
	return false
}

// verify fails with errSignature if the key that the token names did not sign it,
// and with errKey if the set does not have that key.
func (s *keySet) verify(token *jwt) error {
	const maxTries = 8 // every try costs as much as a check of a valid token
	failure, tries := errKey, 0
	for _, key := range s.keys {
		if token.keyID != "" && key.KeyID != token.keyID {
			continue
		}
		if token.keyID != "" {
			failure = errSignature
		}
		if !fits(key, token.algorithm) || tries == maxTries {
			continue
		}
		tries++
		if _, err := token.signed.Verify(key.Key); err == nil {
			return nil
		}
	}
	return failure
}
