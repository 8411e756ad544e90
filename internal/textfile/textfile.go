// Package textfile reads text files in the encodings that Windows programs
// write.
package textfile

import (
	"fmt"
	"os"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Read returns a file's text, decoded.
func Read(name string) (string, error) {
	raw, err := os.ReadFile(name) //nolint:gosec // the caller's user names the file
	if err != nil {
		return "", err
	}
	return Decode(raw)
}

// Decode returns text as UTF-8 without a byte order mark. What begins with the
// mark of UTF-16 is converted: PowerShell 5 writes files so with > and Out-File.
func Decode(raw []byte) (string, error) {
	text, _, err := transform.Bytes(unicode.BOMOverride(transform.Nop), raw)
	if err != nil {
		return "", fmt.Errorf("decoding UTF-16: %w", err)
	}
	return string(text), nil
}
