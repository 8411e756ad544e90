package plaintext_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/plaintext"
)

func TestText_EscapesUnsafeCharacters(t *testing.T) {
	for text, want := range map[string]string{
		"plain, Ünïcode 小猫":           "plain, Ünïcode 小猫",
		"title \x1b]0;owned\a":        `title \x1b]0;owned\a`,
		"8-bit CSI \u009b2J":          `8-bit CSI \u009b2J`,
		"back\bspace\x7f and \r":      `back\bspace\x7f and \r`,
		"turned \u202eround\u2066":    `turned \u202eround\u2066`,
		"hidden \u200b\U000e0041":     `hidden \u200b\U000e0041`,
		"👩\u200d🚀 می\u200cخواهم":      "👩\u200d🚀 می\u200cخواهم",
		"wide\u3000space, 100\u00a0%": "wide\u3000space, 100\u00a0%",
		"two\n\tlines":                "two\n\tlines",
		"half a character \xff":       "half a character \ufffd",
	} {
		assert.Equal(t, want, plaintext.Text(text))
	}
}

func TestLine_IsOneLine(t *testing.T) {
	assert.Equal(t, `a b \x1b c`, plaintext.Line("  a\r\n\tb \x1b\u2028c ", 0))
	assert.Equal(t, "小猫小…", plaintext.Line("小猫小猫小", 4))
	assert.Equal(t, "小猫小猫", plaintext.Line("小猫小猫", 4))
	assert.Empty(t, plaintext.Line("", 4))
}

func TestJSON_KeepsTheValue(t *testing.T) {
	text := "\x1b \u009b \u202e \U000e0041 \x7f 小猫 👩\u200d🚀 \" \\"
	document, err := json.MarshalIndent(map[string]string{"prompt": text}, "", "\t")
	require.NoError(t, err)
	safe := plaintext.JSON(document)
	assert.JSONEq(t, string(document), string(safe))
	for _, bad := range []string{"\u009b", "\u202e", "\U000e0041", "\x7f"} {
		assert.NotContains(t, string(safe), bad)
	}
	assert.Contains(t, string(safe), "小猫")
}
