package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai/sandbox"
)

// The tests run this binary as the program.

func TestMain(m *testing.M) {
	switch os.Getenv("ZAI_TEST_MAIN") {
	case "noisy":
		time.AfterFunc(200*time.Millisecond, func() { fmt.Println("stray print of some library") })
		fallthrough
	case "1":
		Main()
		return
	}
	// Under nohup children would inherit an ignored SIGHUP, which they keep
	// ignored; one that is handled here is theirs as by default.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	if err := os.Chdir("../.."); err != nil { // tests name files of the repository
		panic(err)
	}
	os.Exit(m.Run())
}

// command starts this binary as the program, with nothing from our own
// environment.
func command(t testing.TB, home string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append([]string{"ZAI_TEST_MAIN=1", "HOME=" + home, "USERPROFILE=" + home, "PATH=" + os.Getenv("PATH"), "GOCOVERDIR=" + home}, env...)
	c.WaitDelay = 10 * time.Second
	return c
}

func run(t *testing.T, env []string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	c := command(t, t.TempDir(), env, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// listening reads a server's log up to its address, and leaves the rest unread.
func listening(t *testing.T, log io.Reader) string {
	t.Helper()
	var line struct{ Msg, Address string }
	for d := json.NewDecoder(log); line.Msg != "listening"; {
		require.NoError(t, d.Decode(&line))
	}
	go io.Copy(io.Discard, log)
	return line.Address
}

func TestGenerateFromTheTerminal(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "kitten.png")
	out, errs, exit := run(t, nil, "generate", "--sandbox", "-o", copied, "-n", "2", "--size", "512x512", "A cute little kitten")
	require.Zero(t, exit, errs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 4)
	assert.Equal(t, copied, lines[0])
	assert.Regexp(t, `^zai-image://images/[0-9a-z]{26}$`, lines[1])
	for _, path := range []string{lines[0], lines[2]} {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, bytes.HasPrefix(b, []byte("\x89PNG")))
	}
	assert.Contains(t, errs, "generating")
	assert.Contains(t, errs, "sandbox")
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		args []string
		exit int
		want []string // parts of stderr
	}{
		{"flag", nil, []string{"--colour"}, 2, []string{"unknown flag --colour", "--help"}},
		{"command", nil, []string{"paint"}, 2, []string{"paint", "--help"}},
		{"transport", nil, []string{"--transport", "carrier-pigeon"}, 2, []string{"--transport", "stdio"}},
		{"region", []string{"ZAI_IMAGE_REGION=mars"}, nil, 2, []string{"region", "china"}},
		{"model", nil, []string{"--model", "dall-e"}, 2, []string{"dall-e", "glm-image"}},
		{"model of the other region", nil, []string{"--model", "cogview-3-flash"}, 2, []string{"only in region china"}},
		{"base URL", []string{"ZAI_API_KEY=k"}, []string{"--base-url", "ftp://x"}, 2, []string{"--base-url", "https://"}},
		{"base URL without key", nil, []string{"--base-url", "nonsense"}, 2, []string{"--base-url"}},
		{"bucket", nil, []string{"--store", "s3://bucket"}, 2, []string{"only local files"}},
		{"database", nil, []string{"--catalog", "postgres://x"}, 2, []string{"only local files"}},
		{"key file", []string{"ZAI_API_KEY_FILE=/does/not/exist"}, []string{"generate", "a fox"}, 1, []string{"ZAI_API_KEY_FILE", "/does/not/exist", "(kind: no_api_key)"}},
		{"images alone", nil, []string{"images"}, 2, []string{"images", "--help"}},
		{"budget NaN", nil, []string{"--daily-budget", "NaN"}, 2, []string{"--daily-budget"}},
		{"budget too small", nil, []string{"--daily-budget", "0.0000004"}, 2, []string{"--daily-budget"}},
		{"budget with a comma", []string{"ZAI_IMAGE_DAILY_BUDGET=5,00"}, nil, 2, []string{"--daily-budget", `"5,00" is not an amount of dollars`}},
		{"wait", nil, []string{"--wait", "soon"}, 2, []string{"--wait"}},
		{"no prompt", nil, []string{"generate"}, 2, []string{"prompt"}},
		{"no key", nil, []string{"generate", "a fox"}, 1, []string{"ZAI_API_KEY", "(kind: no_api_key)"}},
		{"bad size", nil, []string{"generate", "--sandbox", "--size", "1x1", "a fox"}, 1, []string{"512 to 2048", "(kind: invalid_argument)"}},
		{"refused", nil, []string{"generate", "--sandbox", "sandbox:content_blocked"}, 1, []string{"(kind: content_blocked)"}},
		{"unknown image", nil, []string{"images", "show", "x"}, 1, []string{"no such image"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, errs, exit := run(t, tt.env, tt.args...)
			assert.Equal(t, tt.exit, exit)
			assert.Empty(t, out)
			for _, want := range tt.want {
				assert.Contains(t, errs, want)
			}
			if tt.exit == 2 {
				assert.Len(t, strings.Split(strings.TrimSpace(errs), "\n"), 2, "one line what is wrong, one what to do: %s", errs)
			}
		})
	}
}

// stdout belongs to the protocol, whatever a library prints.
func TestAStrayPrintGoesToStderr(t *testing.T) {
	c := command(t, t.TempDir(), []string{"ZAI_TEST_MAIN=noisy"}, "--sandbox")
	in, err := c.StdinPipe()
	require.NoError(t, err)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	require.NoError(t, c.Start())
	time.Sleep(600 * time.Millisecond)
	require.NoError(t, in.Close())
	require.NoError(t, c.Wait())
	assert.Empty(t, out.String())
	assert.Contains(t, errs.String(), "stray print")
}

func TestEmptyVariablesAreNone(t *testing.T) {
	env := []string{}
	for _, name := range []string{"WAIT", "SANDBOX", "REGION", "LOG_LEVEL", "DAILY_BUDGET", "INLINE", "STORE", "MODEL", "MAX_CONCURRENT"} {
		env = append(env, "ZAI_IMAGE_"+name+"=")
	}
	_, errs, exit := run(t, append(env, "ZAI_BASE_URL=", "ZAI_API_KEY="))
	assert.Zero(t, exit, errs)
}

func TestVersionAndHelp(t *testing.T) {
	out, _, exit := run(t, nil, "version")
	assert.Zero(t, exit)
	assert.Equal(t, version+"\n", out)
	out, _, exit = run(t, nil, "serve", "--help")
	assert.Zero(t, exit)
	assert.Contains(t, out, "ZAI_IMAGE_STORE")
	assert.NotContains(t, out, "--api-key", "secrets have no flag")
}

func TestImagesCommand(t *testing.T) {
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

// The library is looked after from the command line, with an exit status that
// scripts understand.
func TestCare(t *testing.T) {
	api := httptest.NewServer(sandbox.New(sandbox.Options{}))
	t.Cleanup(api.Close)
	folder := t.TempDir()
	env := []string{"ZAI_IMAGE_STORE=" + folder, "ZAI_API_KEY=the-key", "ZAI_BASE_URL=" + api.URL + sandbox.BasePath}
	_, errs, exit := run(t, env, "images", "check")
	assert.Equal(t, 1, exit)
	assert.Contains(t, errs, "no catalog")
	var paths []string
	for _, prompt := range []string{"a fox", "an owl", "a hare"} {
		out, errs, exit := run(t, env, "generate", "--size", "512x512", prompt)
		require.Zero(t, exit, errs)
		path, _, _ := strings.Cut(out, "\n")
		paths = append(paths, path)
	}
	out, _, exit := run(t, env, "images", "check", "--read-data")
	assert.Zero(t, exit)
	assert.Contains(t, out, "3 images")
	assert.Contains(t, out, "no problems")
	fox, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	damaged := bytes.Clone(fox)
	damaged[len(damaged)/2] ^= 1
	require.NoError(t, os.WriteFile(paths[0], damaged, 0o600))
	require.NoError(t, os.Remove(paths[1]))
	out, _, exit = run(t, env, "images", "check")
	assert.Equal(t, 3, exit)
	assert.Contains(t, out, "missing")
	assert.NotContains(t, out, "damaged", "that takes reading")
	out, _, exit = run(t, env, "images", "check", "--read-data", "--json")
	assert.Equal(t, 3, exit)
	var report struct{ Problems []struct{ Kind string } }
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Len(t, report.Problems, 2)
	// What cannot be put aside is told, and is not called repaired.
	inTheWay := filepath.Join(folder, ".damaged")
	require.NoError(t, os.WriteFile(inTheWay, nil, 0o600))
	out, _, exit = run(t, env, "images", "repair", "--read-data")
	assert.Equal(t, 3, exit)
	assert.Contains(t, out, "putting")
	assert.Contains(t, out, "fetched ", "the other one came home")
	require.NoError(t, os.Remove(inTheWay))
	out, errs, exit = run(t, env, "images", "repair", "--read-data", "--json")
	assert.Zero(t, exit, out+errs)
	var repaired struct {
		Repaired []struct{ Kind, Done string }
		Now      struct{ Pictures int }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &repaired))
	assert.Equal(t, "damaged", repaired.Repaired[0].Kind)
	assert.Equal(t, 3, repaired.Now.Pictures)
	again, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	assert.Equal(t, fox, again, "the same bytes came from the link")
	// The folder's disk is not mounted: nothing is given up.
	away := t.TempDir()
	require.NoError(t, os.Rename(filepath.Join(folder, ".catalog.db"), filepath.Join(away, ".catalog.db")))
	_, errs, exit = run(t, append(env, "ZAI_IMAGE_STORE="+away), "images", "repair")
	assert.Equal(t, 1, exit)
	assert.Contains(t, errs, "mounted")
	// The catalog is lost.
	out, _, exit = run(t, env, "images", "reindex")
	assert.Zero(t, exit)
	assert.Contains(t, out, "3 files taken in")
	out, _, exit = run(t, env, "images", "spend", "--json")
	assert.Zero(t, exit)
	assert.JSONEq(t, "[]", out, "what is not known to have cost something is free")
	out, _, _ = run(t, append(env, "ZAI_IMAGE_STORE="+away), "images", "spend")
	assert.Contains(t, out, "$0.030 since")
}

// A host is set up with one command, and nothing of the user's is lost by it.
func TestConfigCommand(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, ".cursor", "mcp.json")
	env := []string{"HOME=" + home, "USERPROFILE=" + home}
	out, errs, exit := run(t, env, "config", "cursor")
	require.Zero(t, exit, errs)
	assert.Contains(t, errs, file)
	var printed struct {
		MCPServers map[string]struct{ Command string } `json:"mcpServers"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &printed))
	assert.True(t, filepath.IsAbs(printed.MCPServers["zai-image"].Command))
	_, err := os.Stat(file)
	require.ErrorIs(t, err, os.ErrNotExist, "to print changes nothing")

	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	foreign := "{\n  \"mcpServers\": {\"other\": {\"command\": \"x\"}},\n  \"mine\": 1\n}\n"
	require.NoError(t, os.WriteFile(file, []byte(foreign), 0o640))
	out, errs, exit = run(t, env, "config", "cursor", "--write")
	require.Zero(t, exit, errs)
	assert.Contains(t, out, "your-key")
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(written), `"other": {"command": "x"}`)
	assert.Contains(t, string(written), `"mine": 1`)
	backups, err := filepath.Glob(file + ".backup-*")
	require.NoError(t, err)
	require.Len(t, backups, 1)
	kept, err := os.ReadFile(backups[0])
	require.NoError(t, err)
	assert.Equal(t, foreign, string(kept))
	for _, path := range []string{file, backups[0]} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		if runtime.GOOS != "windows" { // which has no such modes
			assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
		}
	}
	out, _, exit = run(t, env, "config", "cursor", "--write")
	assert.Zero(t, exit)
	assert.Contains(t, out, "already")
	_, errs, exit = run(t, env, "config", "cursor", "--write", "--sandbox")
	assert.Equal(t, 1, exit, "nobody is there to be asked")
	assert.Contains(t, errs, "Replace it?")
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(written), string(after))
	_, errs, exit = run(t, env, "config", "cursor", "--write", "--sandbox", "--yes")
	assert.Zero(t, exit, errs)
	after, err = os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(after), "--sandbox")
	// An entry that the user switched off stays so, and that is said.
	require.NoError(t, os.WriteFile(file, bytes.Replace(after, []byte(`"args"`), []byte(`"disabled": true, "args"`), 1), 0o600))
	for range 2 {
		out, errs, exit = run(t, env, "config", "cursor", "--write", "--yes")
		assert.Zero(t, exit, errs)
		assert.Contains(t, out, "switched off")
	}
	// With go run the program lies in a folder like this one and is gone afterwards.
	passing := filepath.Join(t.TempDir(), "go-build1", "b001", "exe", "zai-image-mcp"+filepath.Ext(os.Args[0]))
	require.NoError(t, os.MkdirAll(filepath.Dir(passing), 0o755))
	self, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(passing, self, 0o755))
	c := command(t, t.TempDir(), nil, "config", "cursor")
	c.Path = passing
	said, err := c.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(said), "go build")
	_, errs, exit = run(t, env, "config", "cursor", "--key-file", "/does/not/exist")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "--key-file")
	_, errs, exit = run(t, env, "config", "notepad")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "claude-desktop, claude-code")
}

func TestDoctorCommand(t *testing.T) {
	api := httptest.NewServer(sandbox.New(sandbox.Options{Key: "the-key"}))
	t.Cleanup(api.Close)
	env := []string{"ZAI_API_KEY=the-key", "ZAI_BASE_URL=" + api.URL + sandbox.BasePath, "ZAI_IMAGE_STORE=" + t.TempDir()}
	out, errs, exit := run(t, env, "doctor")
	assert.Zero(t, exit, out+errs)
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		assert.True(t, strings.HasPrefix(line, "ok "), line)
	}
	out, _, exit = run(t, append(env, "ZAI_API_KEY=wrong-key"), "doctor")
	assert.Equal(t, 3, exit)
	assert.Contains(t, out, "PROBLEM  key")
	assert.NotContains(t, out, "wrong-key")
	out, _, exit = run(t, append(env, "ZAI_IMAGE_STORE="+filepath.Join(os.Args[0], "x")), "doctor")
	assert.Equal(t, 3, exit)
	assert.Contains(t, out, "PROBLEM  folder")
}

// As a container asks: with the environment of the server and nothing else.
func TestHealthCommand(t *testing.T) {
	needsSignals(t)
	tokens := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(tokens, []byte("somebody:a-token-of-more-than-thirty-two-bytes\n"), 0o600))
	for _, listen := range []string{"0.0.0.0:0", "127.0.0.1:0"} {
		env := []string{"ZAI_IMAGE_TRANSPORT=http", "ZAI_IMAGE_AUTH_TOKENS=" + tokens, "ZAI_IMAGE_STORE=" + t.TempDir(), "ZAI_IMAGE_LOG_FORMAT=json"}
		c := command(t, t.TempDir(), append(env, "ZAI_IMAGE_LISTEN="+listen, "ZAI_IMAGE_PUBLIC_URL=https://pictures.example"), "--sandbox")
		log, err := c.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		_, port, err := net.SplitHostPort(listening(t, log))
		require.NoError(t, err)
		asked := slices.Concat(env, []string{"ZAI_IMAGE_LISTEN=" + strings.TrimSuffix(listen, "0") + port})
		out, errs, exit := run(t, asked, "health")
		assert.Zero(t, exit, errs)
		assert.Equal(t, "ok\n", out)
		require.NoError(t, c.Process.Signal(os.Interrupt))
		require.NoError(t, c.Wait())
		_, errs, exit = run(t, asked, "health")
		assert.Equal(t, 1, exit)
		assert.Contains(t, errs, "no server")
	}
	_, _, exit := run(t, nil, "health")
	assert.Zero(t, exit, "with stdio there is nothing to ask")
	_, errs, exit := run(t, nil, "health", "--transport", "http", "--listen", "nowhere")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "--listen")
}

func TestAddressesAreToldWithoutSecrets(t *testing.T) {
	_, errs, exit := run(t, nil, "--base-url", "https://u:SECRET@h/x?key=SECRET#SECRET")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "https://h/x")
	assert.NotContains(t, errs, "SECRET")
}

func TestKeySources(t *testing.T) {
	api := sandbox.New(sandbox.Options{Key: "the-key"})
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("the-key\n"), 0o600))
	base := "ZAI_BASE_URL=" + server.URL + sandbox.BasePath
	for name, env := range map[string][]string{
		"ZAI_API_KEY":       {"ZAI_API_KEY=the-key"},
		"Z_AI_API_KEY":      {"Z_AI_API_KEY=the-key"},
		"file":              {"ZAI_API_KEY_FILE=" + file},
		"empty placeholder": {"ZAI_API_KEY=${ZAI_API_KEY}", "Z_AI_API_KEY=the-key"},
	} {
		_, errs, exit := run(t, append(env, base), "generate", "--size", "512x512", "a fox")
		assert.Zero(t, exit, "%s: %s", name, errs)
		assert.NotContains(t, errs, "the-key")
	}
	assert.EqualValues(t, 4, api.Accepted())
}

// What decides who may come in is never taken for blank.
func TestTokensThatAreNotFilledIn(t *testing.T) {
	for _, value := range []string{"${CREDENTIALS_DIRECTORY}/tokens", "${user_config.tokens}", "null"} {
		_, errs, exit := run(t, []string{"ZAI_IMAGE_AUTH_TOKENS=" + value}, "--sandbox", "--transport", "http", "--listen", "127.0.0.1:0")
		assert.Equal(t, 2, exit, value)
		assert.Contains(t, errs, "--auth-tokens")
	}
}

// A field that the user of a bundle left blank comes as nothing, as the host's
// placeholder, or as a word for nothing. The server starts with its defaults.
func TestBlankFieldsOfABundle(t *testing.T) {
	raw, err := os.ReadFile("packaging/manifest.json")
	require.NoError(t, err)
	var manifest struct {
		Server struct {
			Config struct{ Env map[string]string } `json:"mcp_config"`
		}
	}
	require.NoError(t, json.Unmarshal(raw, &manifest))
	require.NotEmpty(t, manifest.Server.Config.Env)
	for _, blank := range []string{"", "null", "undefined", "placeholder"} {
		home := t.TempDir()
		env := []string{"XDG_PICTURES_DIR=" + filepath.Join(home, "Pictures")}
		for name, placeholder := range manifest.Server.Config.Env {
			if blank != "placeholder" {
				placeholder = blank
			}
			env = append(env, name+"="+placeholder)
		}
		c := command(t, home, env, "images", "list")
		c.Dir = t.TempDir()
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s: %s", blank, out)
		c = command(t, home, env, "generate", "--size", "512x512", "a fox")
		c.Dir = t.TempDir()
		out, err = c.CombinedOutput()
		require.Error(t, err)
		assert.Contains(t, string(out), "no_api_key", blank)
		left, err := os.ReadDir(c.Dir)
		require.NoError(t, err)
		assert.Empty(t, left, "no folder of that name")
	}
}

func TestSandboxCommand(t *testing.T) {
	needsSignals(t)
	c := command(t, t.TempDir(), nil, "sandbox", "--listen", "127.0.0.1:0", "--key", "k")
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	line := make([]byte, 200)
	n, err := out.Read(line)
	require.NoError(t, err)
	base := line[bytes.Index(line[:n], []byte("http")):n]
	_, errs, exit := run(t, []string{"ZAI_API_KEY=k", "ZAI_BASE_URL=" + strings.TrimSpace(string(base))}, "generate", "--size", "512x512", "a fox")
	assert.Zero(t, exit, errs)
	require.NoError(t, c.Process.Signal(os.Interrupt))
	require.NoError(t, c.Wait(), "exit status 0")
}

// needsSignals skips where one process cannot ask another to end.
func needsSignals(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED here: Windows can only kill a process")
	}
}
