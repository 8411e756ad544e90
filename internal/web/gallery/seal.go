package gallery

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"sync"
)

// maxCookie is the longest cookie in bytes that browsers keep.
const maxCookie = 4096

// sealer seals what a browser keeps for the server, so that the server keeps nothing. It is
// safe for concurrent use.
type sealer struct {
	key func(context.Context) ([]byte, error) // returns the key of 32 bytes

	mu   sync.Mutex
	aead cipher.AEAD // made at first use
}

// seal returns the value of a cookie with some content. Only unseal with the same purpose
// opens it.
func (s *sealer) seal(ctx context.Context, purpose string, content any) (value string, err error) {
	aead, err := s.cipher(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, text, []byte(purpose))), nil //nolint:gosec // the cipher makes a random nonce
}

// unseal reads the content of a cookie. ok is false if the value is not one that seal
// returned for the purpose.
func (s *sealer) unseal(ctx context.Context, purpose, value string, content any) (ok bool, err error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(value) > maxCookie {
		return false, nil //nolint:nilerr // seal returned no such value
	}
	aead, err := s.cipher(ctx)
	if err != nil {
		return false, err
	}
	text, err := aead.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return false, nil //nolint:nilerr // the value is forged or sealed with another key
	}
	// It fails only for what a later version of the program sealed.
	return json.Unmarshal(text, content) == nil, nil
}

// cipher returns the cipher of the key, which it asks for until it gets one.
func (s *sealer) cipher(ctx context.Context) (cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aead != nil {
		return s.aead, nil
	}
	key, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	s.aead, err = cipher.NewGCMWithRandomNonce(block)
	return s.aead, err
}
