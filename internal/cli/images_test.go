package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestImages_ListShowPathRm(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	env := []string{"ZAI_IMAGE_STORE=" + folder}
	out, errs, exit := run(t, env, "generate", "--sandbox", "--size", "512x512", "a red fox")
	require.Zero(t, exit, errs)
	path, uri, _ := strings.Cut(strings.TrimSpace(out), "\n")
	out, _, exit = run(t, env, "images", "list")
	require.Zero(t, exit)
	assert.Contains(t, out, "a red fox")
	out, _, _ = run(t, env, "images", "list", "--json", "--query", "RED")
	var entry map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &entry))
	assert.Equal(t, uri, entry["uri"])
	out, _, _ = run(t, env, "images", "path", uri)
	assert.Equal(t, path+"\n", out)
	out, _, _ = run(t, env, "images", "show", entry["id"].(string))
	assert.Contains(t, out, `"prompt": "a red fox"`)
	_, _, exit = run(t, env, "images", "rm", uri)
	require.Zero(t, exit)
	_, err := os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	out, _, _ = run(t, env, "images", "list")
	assert.Empty(t, out)
	_, _, exit = run(t, env, "images", "rm", uri)
	assert.Equal(t, 1, exit)
}

// The images commands do not create a library, so that a misspelled name is
// noticed.
func TestImages_NoLibrary(t *testing.T) {
	t.Parallel()
	commands := [][]string{
		{"images", "list"}, {"images", "list", "--json"}, {"images", "show", "x"}, {"images", "path", "x"}, {"images", "rm", "x"}, {"images", "spend"},
		{"images", "du"}, {"images", "prune", "--exports"}, {"images", "check"}, {"images", "repair"}, {"images", "reindex"},
	}
	for _, args := range commands {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			typo := filepath.Join(home, "pictuers", "ai")
			for _, given := range []struct{ env, args []string }{{nil, []string{"--store", typo}}, {[]string{"ZAI_IMAGE_STORE=" + typo}, nil}} {
				out, errs, exit := run(t, given.env, append(args, given.args...)...)
				assert.Equal(t, 2, exit)
				assert.Empty(t, out)
				assert.Contains(t, errs, "no folder "+typo)
			}
			empty := t.TempDir()
			if args[1] != "reindex" {
				_, errs, exit := run(t, nil, append(args, "--store", empty)...)
				assert.Equal(t, 1, exit)
				assert.Contains(t, errs, "images reindex")
			}
			// A user without images has no library yet. list, spend, du and prune do not fail.
			out, errs, exit := execute(t, newProcess(t, home, nil), args...)
			switch args[1] {
			case "list", "spend":
				require.Zero(t, exit)
				assert.Empty(t, out+errs)
			case "du":
				require.Zero(t, exit)
				assert.Regexp(t, `(?m)^total +0 images +0\.0 MB$`, out)
			case "prune":
				require.Zero(t, exit)
				assert.Equal(t, "0 cached exports of 0.0 MB deleted.\n", out)
			default:
				require.NotZero(t, exit)
			}
			isEmpty(t, home, "nothing is created")
			isEmpty(t, empty, "nothing is created")
		})
	}
}

// Sandbox images are marked in every list, because people try the sandbox in the
// folder that they use later.
func TestImages_SandboxIsMarked(t *testing.T) {
	t.Parallel()
	env := []string{"ZAI_IMAGE_STORE=" + t.TempDir(), "ZAI_API_KEY=a-real-key"}
	_, errs, exit := run(t, env, "generate", "--sandbox", "--size", "512x512", "logo of a bakery")
	require.Zero(t, exit, errs)
	_, _, exit = run(t, env, "generate", "--sandbox", "--size", "512x512", "sandbox:outcome_unknown")
	require.Equal(t, 1, exit)
	out, _, _ := run(t, env, "images", "list")
	assert.Contains(t, out, "(sandbox) logo of a bakery")
	assert.Contains(t, out, "(sandbox) sandbox:outcome_unknown", "an image that is not saved")
	out, _, _ = run(t, env, "images", "list", "--json")
	assert.Equal(t, 2, strings.Count(out, `"sandbox":true`))
	out = ask(t, env, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_images","arguments":{}}}`, `{"jsonrpc":"2.0","id":2,"method":"resources/list"}`)
	assert.Contains(t, out, `"sandbox":true`)
	assert.Contains(t, out, "(sandbox) logo of a bakery")
	assert.Contains(t, out, ", from the sandbox")
}

// Control characters are escaped in all output. Prompts come from agents and, over
// HTTP, from other people; file names can come from anywhere.
func TestOutput_HostileTextIsEscaped(t *testing.T) {
	t.Parallel()
	const hostile = "evil\x1b]0;owned\a\x1b[31mred\x1b[2J \u009b2J \u202eback\x7f"
	folder := t.TempDir()
	env := []string{"ZAI_IMAGE_STORE=" + folder}
	path, errs, exit := run(t, env, "generate", "--sandbox", "--size", "512x512", hostile)
	require.Zero(t, exit, errs)
	printed := path + errs
	_, errs, exit = run(t, env, "generate", "--sandbox", "--size", "512x512", hostile+" sandbox:outcome_unknown")
	require.Equal(t, 1, exit)
	printed += errs
	_, uri, _ := strings.Cut(strings.TrimSpace(path), "\n")
	if runtime.GOOS != "windows" { // Windows has no such names
		stem, _, _ := strings.Cut(filepath.Base(path), ".")
		require.NoError(t, os.WriteFile(filepath.Join(folder, stem[len(stem)-26:]+"\x1b[2J\u202e.png"), []byte("x"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "evil\x1b[2J\u202e-01m874z908ec16z1bseypzp8br.png"), []byte("x"), 0o600))
	}
	for _, args := range [][]string{
		{"images", "list"}, {"images", "list", "--json"}, {"images", "show", uri}, {"images", "show", hostile}, {"images", "check"}, {"images", "check", "--json"},
		{"images", "spend"}, {"images", "reindex"}, {"images", "reindex", "--json"}, {"images", "rm", hostile}, {"doctor"},
		{"generate", "--sandbox", "--model", hostile, "x"}, {"generate", "--sandbox", "--size", hostile, "x"}, {"--store", hostile + "://"}, {hostile},
		{"--region", hostile}, {"config", hostile}, {"config", "cursor", "--key-file", hostile}, {"--base-url", hostile},
	} {
		out, errs, _ := run(t, env, args...)
		printed += out + errs
		for _, bad := range []string{"\x1b", "\a", "\u009b", "\u202e", "\x7f"} {
			assert.NotContains(t, out+errs, bad, strings.Join(args[:min(2, len(args))], " "))
		}
	}
	assert.Contains(t, printed, `evil\x1b]0;owned\a`, "the text is printed, escaped")
}
