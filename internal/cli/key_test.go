package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai/sandbox"
)

// A host reports a server that ends as broken, without a reason. So it starts,
// and its first call says what is wrong with the key.
func TestUnusableKey_ServerStartsAndExplains(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(empty, []byte("\ufeff \r\n"), 0o600))
	for name, tt := range map[string]struct {
		env  string
		want []string
	}{
		"none":           {"ZAI_API_KEY=", []string{"No Z.AI API key is configured", "ZAI_API_KEY"}},
		"invisible":      {"ZAI_API_KEY=secret\u200bsecret", []string{"ZAI_API_KEY ", "U+200B", "copies the key again"}},
		"curly quotes":   {"Z_AI_API_KEY=“secret”", []string{"Z_AI_API_KEY ", "U+201C"}},
		"a space inside": {"ZAI_API_KEY=secret secret", []string{"white space"}},
		"no such file":   {"ZAI_API_KEY_FILE=/does/not/exist", []string{"ZAI_API_KEY_FILE", "/does/not/exist", "readable file"}},
		"empty file":     {"ZAI_API_KEY_FILE=" + empty, []string{"without a key", empty}},
	} {
		t.Run(name, func(t *testing.T) {
			c := command(t, t.TempDir(), []string{tt.env})
			c.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}` + "\n" +
				`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"a fox"}}}` + "\n")
			var log bytes.Buffer
			c.Stderr = &log
			out, err := c.Output()
			require.NoError(t, err, "exit status 0: %s", log.String())
			var answer struct {
				ID     int
				Result struct {
					Tools   []struct{}
					IsError bool
					Content []struct{ Text string }
				}
			}
			answers := map[int]string{}
			for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
				answer.Result.Content = nil
				require.NoError(t, d.Decode(&answer))
				if answer.ID == 1 {
					assert.Len(t, answer.Result.Tools, 3)
					continue
				}
				assert.True(t, answer.Result.IsError)
				answers[answer.ID] = answer.Result.Content[0].Text
			}
			assert.Contains(t, answers[2], "(kind: no_api_key)")
			for _, want := range tt.want {
				assert.Contains(t, answers[2], want)
			}
			assert.NotContains(t, string(out)+log.String(), "secret")
			assert.Contains(t, log.String(), "API key")
		})
	}
}

// Notepad and PowerShell mark the files that they write.
func TestKeyFile_AsWindowsWritesIt(t *testing.T) {
	api := httptest.NewServer(sandbox.New(sandbox.Options{Key: "the-key"}))
	t.Cleanup(api.Close)
	for name, text := range map[string]string{
		"UTF-8 with mark": "\xef\xbb\xbfthe-key\r\n", "UTF-16": "\xff\xfet\x00h\x00e\x00-\x00k\x00e\x00y\x00\r\x00\n\x00",
	} {
		file := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, errs, exit := run(t, []string{"ZAI_API_KEY_FILE=" + file, "ZAI_BASE_URL=" + api.URL + sandbox.BasePath}, "generate", "--size", "512x512", "a fox")
		assert.Zero(t, exit, "%s: %s", name, errs)
	}
}

func TestTokenFile_AsWindowsWritesIt(t *testing.T) {
	const token = "a-token-of-more-than-thirty-two-bytes"
	utf16 := "\xff\xfe" + strings.Join(strings.Split("name:"+token+"\r\n", ""), "\x00") + "\x00"
	for name, text := range map[string]string{"UTF-8 with mark": "\ufeffname:" + token + "\r\n", "UTF-16": utf16} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tokens")
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			c := command(t, t.TempDir(), []string{"ZAI_IMAGE_LOG_FORMAT=json"}, "--sandbox", "--transport", "http", "--listen", "127.0.0.1:0", "--auth-tokens", file)
			log, err := c.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, c.Start())
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listening(t, log)+"/metrics", http.NoBody)
			require.NoError(t, err)
			request.Header.Set("Authorization", "Bearer "+token)
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, http.StatusOK, response.StatusCode)
			require.NoError(t, c.Process.Kill())
			_ = c.Wait()
		})
	}
}

// Desktop hosts have a free text field for the region.
func TestChoices_InAnyCase(t *testing.T) {
	_, errs, exit := run(t, []string{"ZAI_IMAGE_REGION= China\t", "ZAI_IMAGE_INLINE=None", "ZAI_IMAGE_LOG_LEVEL=WARN"}, "--sandbox", "--transport", "STDIO", "--model", "cogview-3-flash")
	assert.Zero(t, exit, errs)
}
