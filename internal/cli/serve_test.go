package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/cli"
	"zai-image-mcp/internal/testrig"
)

// In a container, the path of the folder differs from that on the host's machine.
func TestServe_StoreShownAs(t *testing.T) {
	t.Parallel()
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"a fox","size":"512x512"}}}`
	for shown, want := range map[string]string{"": "same", "none": "", "/home/me/ai/": "/home/me/ai/", `C:\Users\me\ai`: `C:\Users\me\ai\`} {
		folder := t.TempDir()
		out := ask(t, []string{"ZAI_IMAGE_SANDBOX=1", "ZAI_IMAGE_STORE=" + folder, "ZAI_IMAGE_STORE_SHOWN_AS=" + shown}, call)
		var response struct {
			Result struct {
				Content           []struct{ Text string }
				StructuredContent struct{ Images []struct{ Path string } }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(out), &response))
		saved := savedIn(t, folder)
		require.Len(t, saved, 1)
		relative, err := filepath.Rel(folder, saved[0])
		require.NoError(t, err)
		switch text := response.Result.Content[0].Text; {
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
		assert.Equal(t, want, response.Result.StructuredContent.Images[0].Path)
		assert.Contains(t, response.Result.Content[0].Text, want)
	}
}

// The folder of the container image is not a path on the host's machine, so results
// omit it.
func TestDockerfile_HidesPaths(t *testing.T) {
	assert.Contains(t, string(cli.ReadFile(t, "packaging/Dockerfile")), "ZAI_IMAGE_STORE=/pictures ZAI_IMAGE_STORE_SHOWN_AS=none")
}

// Progress notifications must precede the result with a pause: a client may process
// a result before a notification that is sent directly before it, and then rejects
// the notification's token.
func TestServe_ProgressEndsBeforeTheResult(t *testing.T) {
	t.Parallel()
	// The delay gives every stage the time to be reported.
	for _, prompt := range []string{"sandbox:delay=200ms a fox", "sandbox:delay=200ms sandbox:content_blocked"} {
		out := ask(t, []string{"ZAI_IMAGE_SANDBOX=1", "ZAI_IMAGE_STORE=" + t.TempDir()},
			testrig.Initialize, testrig.Initialized, fmt.Sprintf(
				`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":%q,"n":2,"size":"512x512"},"_meta":{"progressToken":"p"}}}`, prompt))
		last, ended := -1.0, false
		for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
			var message struct {
				ID     json.RawMessage
				Method string
				Params struct {
					Progress, Total float64
					Message         string
				}
			}
			require.NoError(t, d.Decode(&message))
			ended = ended || string(message.ID) == "1"
			if message.Method == "notifications/progress" {
				assert.False(t, ended, "no notification after the result")
				assert.Greater(t, message.Params.Progress, last, message.Params.Message)
				last = message.Params.Progress
				assert.Less(t, last, message.Params.Total)
			}
		}
		assert.True(t, ended)
		assert.GreaterOrEqual(t, strings.Count(out, "generating"), 1)
	}
}

func TestServe_TokenFileWindowsEncodings(t *testing.T) {
	t.Parallel()
	const token = "a-token-of-more-than-thirty-two-bytes"
	utf16 := "\xff\xfe" + strings.Join(strings.Split("name:"+token+"\r\n", ""), "\x00") + "\x00"
	for name, text := range map[string]string{"UTF-8 with BOM": "\ufeffname:" + token + "\r\n", "UTF-16": utf16} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := testrig.TokenFile(t, text)
			log, stop := start(t, newProcess(t, t.TempDir(), []string{"ZAI_IMAGE_LOG_FORMAT=json"}),
				"--sandbox", "--transport", "http", "--listen", "127.0.0.1:0", "--auth-tokens", file)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+testrig.Listening(t, log)+"/metrics", http.NoBody)
			require.NoError(t, err)
			request.Header.Set("Authorization", "Bearer "+token)
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, http.StatusOK, response.StatusCode)
			assert.Zero(t, stop())
		})
	}
}
