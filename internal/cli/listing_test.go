package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ask sends a server requests and returns what it writes.
func ask(t *testing.T, env []string, requests ...string) string {
	t.Helper()
	c := command(t, t.TempDir(), env)
	c.Stdin = strings.NewReader(strings.Join(requests, "\n") + "\n")
	out, err := c.Output()
	require.NoError(t, err)
	return string(out)
}

const listImages = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_images","arguments":{}}}`

// The first thing people try is the sandbox, in the folder that they use later.
func TestSandboxImages_SaySoInEveryList(t *testing.T) {
	env := []string{"ZAI_IMAGE_STORE=" + t.TempDir(), "ZAI_API_KEY=a-real-key"}
	_, errs, exit := run(t, env, "generate", "--sandbox", "--size", "512x512", "logo of a bakery")
	require.Zero(t, exit, errs)
	_, _, exit = run(t, env, "generate", "--sandbox", "--size", "512x512", "sandbox:outcome_unknown")
	require.Equal(t, 1, exit)
	out, _, _ := run(t, env, "images", "list")
	assert.Contains(t, out, "(sandbox) logo of a bakery")
	assert.Contains(t, out, "(sandbox) sandbox:outcome_unknown", "what is not saved")
	out, _, _ = run(t, env, "images", "list", "--json")
	assert.Equal(t, 2, strings.Count(out, `"sandbox":true`))
	out = ask(t, env, listImages, `{"jsonrpc":"2.0","id":2,"method":"resources/list"}`)
	assert.Contains(t, out, `"sandbox":true`)
	assert.Contains(t, out, "(sandbox) logo of a bakery")
	assert.Contains(t, out, ", from the sandbox")
}

// Prompts come from agents and over HTTP from other people, and file names from
// anywhere.
func TestTerminal_HostileTextIsEscaped(t *testing.T) {
	const hostile = "evil\x1b]0;owned\a\x1b[31mred\x1b[2J \u009b2J \u202eback\x7f"
	folder := t.TempDir()
	env := []string{"ZAI_IMAGE_STORE=" + folder}
	path, errs, exit := run(t, env, "generate", "--sandbox", "--size", "512x512", hostile)
	require.Zero(t, exit, errs)
	said := path + errs
	_, errs, exit = run(t, env, "generate", "--sandbox", "--size", "512x512", hostile+" sandbox:outcome_unknown")
	require.Equal(t, 1, exit)
	said += errs
	_, uri, _ := strings.Cut(strings.TrimSpace(path), "\n")
	if runtime.GOOS != "windows" { // which has no such names
		stranger, _, _ := strings.Cut(filepath.Base(path), ".")
		require.NoError(t, os.WriteFile(filepath.Join(folder, stranger[len(stranger)-26:]+"\x1b[2J\u202e.png"), []byte("x"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "evil\x1b[2J\u202e-01m874z908ec16z1bseypzp8br.png"), []byte("x"), 0o600))
	}
	for _, args := range [][]string{
		{"images", "list"}, {"images", "list", "--json"}, {"images", "show", uri}, {"images", "show", hostile}, {"images", "check"}, {"images", "check", "--json"},
		{"images", "spend"}, {"images", "reindex"}, {"images", "reindex", "--json"}, {"images", "rm", hostile}, {"doctor"},
		{"generate", "--sandbox", "--model", hostile, "x"}, {"generate", "--sandbox", "--size", hostile, "x"}, {"--store", hostile + "://"}, {hostile},
		{"--region", hostile}, {"config", hostile}, {"config", "cursor", "--key-file", hostile}, {"--base-url", hostile},
	} {
		out, errs, _ := run(t, env, args...)
		said += out + errs
		for _, bad := range []string{"\x1b", "\a", "\u009b", "\u202e", "\x7f"} {
			assert.NotContains(t, out+errs, bad, strings.Join(args[:min(2, len(args))], " "))
		}
	}
	assert.Contains(t, said, `evil\x1b]0;owned\a`, "it is shown, without acting")
}

// A notification that comes directly before its result, or after it, is one of
// an unknown token to clients that handle results first.
func TestProgress_OverStdioEndsBeforeTheResult(t *testing.T) {
	for _, prompt := range []string{"a fox", "sandbox:content_blocked"} {
		out := ask(t, []string{"ZAI_IMAGE_SANDBOX=1", "ZAI_IMAGE_STORE=" + t.TempDir()},
			`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
			`{"jsonrpc":"2.0","method":"notifications/initialized"}`, fmt.Sprintf(
				`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":%q,"n":2,"size":"512x512"},"_meta":{"progressToken":"p"}}}`, prompt))
		last, ended := -1.0, false
		for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
			var message struct {
				ID     int
				Method string
				Params struct {
					Progress, Total float64
					Message         string
				}
			}
			require.NoError(t, d.Decode(&message))
			ended = ended || message.ID == 1
			if message.Method == "notifications/progress" {
				assert.False(t, ended, "nothing comes after the result")
				assert.Greater(t, message.Params.Progress, last, message.Params.Message)
				last = message.Params.Progress
				assert.Less(t, last, message.Params.Total)
			}
		}
		assert.True(t, ended)
		assert.GreaterOrEqual(t, strings.Count(out, "generating"), 1)
	}
}
