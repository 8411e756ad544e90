package textfile

import (
	"fmt"
	"os"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Read returns the text of a file as Decode does.
func Read(name string) (string, error) {
	raw, err := os.ReadFile(name) //nolint:gosec // the caller's user names the file
	if err != nil {
		return "", err
	}
	return Decode(raw)
}

// Decode returns text as UTF-8 without a byte order mark. Text that begins with
// the mark of UTF-16 is converted: PowerShell 5 writes UTF-16 with > and
// Out-File.
func Decode(raw []byte) (string, error) {
	text, _, err := transform.Bytes(unicode.BOMOverride(transform.Nop), raw)
	if err != nil {
		return "", fmt.Errorf("decoding UTF-16: %w", err)
	}
	return string(text), nil
}
