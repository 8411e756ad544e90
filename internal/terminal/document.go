package terminal

import (
	"bytes"
	"encoding/json"
	"io"

	"zai-image-mcp/internal/plaintext"
)

// writeJSON writes a document that a terminal may show.
func writeJSON(out io.Writer, value any, indent string) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := out.Write(plaintext.JSON(b.Bytes()))
	return err
}
