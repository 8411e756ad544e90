package tools_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/tools"
)

// A result stays below the limit for every value of Inline, and its notes
// report what was left out.
func TestResult_Size(t *testing.T) {
	t.Parallel()
	prompt := strings.Repeat("“猫”\t<&> ", 1248) + " sandbox:huge"
	require.InDelta(t, 10_000, utf8.RuneCountInString(prompt), 10, "the longest prompt")
	r := newProjectRig(t, nil)
	// The calls have no delivery, so that the later ones join the first one.
	for _, inline := range []tools.Inline{tools.InlineFull, tools.InlinePreview, tools.InlineNone} {
		t.Run(string(inline), func(t *testing.T) {
			arguments, err := json.Marshal(map[string]any{"prompt": prompt, "n": 4, "size": "512x512", "save_as": strings.Repeat("f", 180) + ".png"})
			require.NoError(t, err)
			result, s := r.callWith(t, as(t.Context(), tools.Caller{Owner: "local", Inline: inline}), "generate_image", string(arguments))
			require.False(t, result.IsError, text(t, result))
			raw, err := json.Marshal(result)
			require.NoError(t, err)
			assert.Less(t, len(raw), 996_147)
			contents := 0
			for _, c := range result.Content {
				if c, ok := c.(mcp.ImageContent); ok {
					contents++
					b, err := base64.StdEncoding.DecodeString(c.Data)
					require.NoError(t, err)
					_, _, err = image.Decode(bytes.NewReader(b))
					require.NoError(t, err)
				}
			}
			switch inline {
			case tools.InlineNone:
				assert.Zero(t, contents)
			case tools.InlineFull:
				assert.Equal(t, 4, contents)
				assert.Equal(t, 4, strings.Count(text(t, result), "JPEG copy"))
			default:
				assert.Equal(t, 4, contents)
			}
			for _, note := range s.Notes {
				assert.Contains(t, text(t, result), note)
			}
			require.Len(t, s.Images, 4)
			for _, i := range s.Images {
				assert.NotEmpty(t, i.SavedAs)
			}
		})
	}
}

func TestResult_FullInline(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *tools.Config, _ *jobs.Config) { c.Inline = tools.InlineFull })
	result, s := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
	content, ok := result.Content[1].(mcp.ImageContent)
	require.True(t, ok)
	assert.Equal(t, "image/png", content.MIMEType)
	saved, err := r.library.Image(t.Context(), "local", s.Images[0].ID)
	require.NoError(t, err)
	file, err := r.library.Read(t.Context(), saved)
	require.NoError(t, err)
	assert.Equal(t, base64.StdEncoding.EncodeToString(file), content.Data)
}
