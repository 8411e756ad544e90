package cli

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// In a container the folder has another name than on the host's machine.
func TestStoreShownAs(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"a fox","size":"512x512"}}}`
	for shown, want := range map[string]string{"": "same", "none": "", "/home/me/ai/": "/home/me/ai/", `C:\Users\me\ai`: `C:\Users\me\ai\`} {
		folder := t.TempDir()
		out := ask(t, []string{"ZAI_IMAGE_SANDBOX=1", "ZAI_IMAGE_STORE=" + folder, "ZAI_IMAGE_STORE_SHOWN_AS=" + shown}, call)
		var answer struct {
			Result struct {
				Content           []struct{ Text string }
				StructuredContent struct{ Images []struct{ Path string } }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(out), &answer))
		saved, err := filepath.Glob(filepath.Join(folder, "*", "*", "*", "*.png"))
		require.NoError(t, err)
		require.Len(t, saved, 1)
		relative, err := filepath.Rel(folder, saved[0])
		require.NoError(t, err)
		switch text := answer.Result.Content[0].Text; {
		case want == "":
			assert.NotContains(t, text, "file:")
			assert.NotContains(t, out, path.Base(folder)+"/2", "no path of this machine")
		case want == "same":
			want = saved[0]
		case strings.Contains(want, `\`):
			want += strings.ReplaceAll(filepath.ToSlash(relative), "/", `\`)
		default:
			want += filepath.ToSlash(relative)
		}
		assert.Equal(t, want, answer.Result.StructuredContent.Images[0].Path)
		assert.Contains(t, answer.Result.Content[0].Text, want)
	}
}

// The image's own folder is inside it.
func TestDockerfile_TellsNoFiles(t *testing.T) {
	text, err := os.ReadFile("packaging/Dockerfile")
	require.NoError(t, err)
	assert.Contains(t, string(text), "ZAI_IMAGE_STORE=/pictures ZAI_IMAGE_STORE_SHOWN_AS=none")
}
