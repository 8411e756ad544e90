package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/zai/sandbox"
)

func TestKey_Sources(t *testing.T) {
	t.Parallel()
	api := testrig.API(t, func(o *testrig.APIOptions) { o.Sandbox.Key = "the-key" })
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("the-key\n"), 0o600))
	base := "ZAI_BASE_URL=" + api.BaseURL()
	for name, env := range map[string][]string{
		"ZAI_API_KEY":  {"ZAI_API_KEY=the-key"},
		"Z_AI_API_KEY": {"Z_AI_API_KEY=the-key"},
		"file":         {"ZAI_API_KEY_FILE=" + file},
		"placeholder that the host did not replace": {"ZAI_API_KEY=${ZAI_API_KEY}", "Z_AI_API_KEY=the-key"},
	} {
		_, errs, exit := run(t, append(env, base), "generate", "--size", "512x512", "a fox")
		assert.Zero(t, exit, "%s: %s", name, errs)
		assert.NotContains(t, errs, "the-key")
	}
	assert.EqualValues(t, 4, api.Accepted())
}

// Hosts give no reason when a server exits. Therefore the server starts with an
// unusable key, and tool calls explain what is wrong with it.
func TestKey_UnusableKeyIsExplained(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(empty, []byte("\ufeff \r\n"), 0o600))
	for name, tt := range map[string]struct {
		env  string
		want []string
	}{
		"none":           {"ZAI_API_KEY=", []string{"No Z.AI API key is configured", "ZAI_API_KEY"}},
		"invisible":      {"ZAI_API_KEY=secret\u200bsecret", []string{"ZAI_API_KEY ", "U+200B", "copy the key again"}},
		"curly quotes":   {"Z_AI_API_KEY=“secret”", []string{"Z_AI_API_KEY ", "U+201C"}},
		"a space inside": {"ZAI_API_KEY=secret secret", []string{"white space"}},
		"no such file":   {"ZAI_API_KEY_FILE=/does/not/exist", []string{"ZAI_API_KEY_FILE", "/does/not/exist", "readable file"}},
		"empty file":     {"ZAI_API_KEY_FILE=" + empty, []string{"without a key", empty}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t, t.TempDir(), []string{tt.env})
			p.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}` + "\n" +
				`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"a fox"}}}` + "\n")
			out, log, exit := execute(t, p)
			require.Zero(t, exit, log)
			var response struct {
				ID     int
				Result struct {
					Tools   []struct{}
					IsError bool
					Content []struct{ Text string }
				}
			}
			texts := map[int]string{}
			for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
				response.Result.Content = nil
				require.NoError(t, d.Decode(&response))
				if response.ID == 1 {
					assert.Len(t, response.Result.Tools, 4)
					continue
				}
				assert.True(t, response.Result.IsError)
				texts[response.ID] = response.Result.Content[0].Text
			}
			assert.Contains(t, texts[2], "(kind: no_api_key)")
			for _, want := range tt.want {
				assert.Contains(t, texts[2], want)
			}
			assert.NotContains(t, out+log, "secret")
			assert.Contains(t, log, "API key")
		})
	}
}

// Notepad and PowerShell write byte order marks and UTF-16.
func TestKey_WindowsFileEncodings(t *testing.T) {
	t.Parallel()
	api := startAPI(t, sandbox.Options{Key: "the-key"})
	for name, text := range map[string]string{
		"UTF-8 with BOM": "\xef\xbb\xbfthe-key\r\n", "UTF-16": "\xff\xfet\x00h\x00e\x00-\x00k\x00e\x00y\x00\r\x00\n\x00",
	} {
		file := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, errs, exit := run(t, []string{"ZAI_API_KEY_FILE=" + file, "ZAI_BASE_URL=" + api}, "generate", "--size", "512x512", "a fox")
		assert.Zero(t, exit, "%s: %s", name, errs)
	}
}
