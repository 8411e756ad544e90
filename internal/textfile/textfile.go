package textfile

import (
	"fmt"
	"os"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Read returns the contents of a file as decoded by Decode.
func Read(name string) (string, error) {
	raw, err := os.ReadFile(name) //nolint:gosec // the user chooses the file
	if err != nil {
		return "", err
	}
	return Decode(raw)
}

// Decode returns text as UTF-8 without a byte order mark. It converts text that
// begins with a UTF-16 byte order mark, which PowerShell 5 writes with > and
// Out-File. It fails if UTF-16 cannot be decoded.
func Decode(raw []byte) (string, error) {
	text, _, err := transform.Bytes(unicode.BOMOverride(transform.Nop), raw)
	if err != nil {
		return "", fmt.Errorf("failed to decode UTF-16: %w", err)
	}
	return string(text), nil
}
