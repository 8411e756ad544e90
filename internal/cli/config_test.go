package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/hostconfig"
)

// config prints the entry and, with --write, adds it to the host's file. Other
// settings in the file are kept.
func TestConfig_PrintAndWrite(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	p := newProcess(t, home, nil)
	file := filepath.Join(home, ".cursor", "mcp.json")
	out, errs, exit := execute(t, p, "config", "cursor")
	require.Zero(t, exit, errs)
	assert.Contains(t, errs, file)
	var printed struct {
		MCPServers map[string]struct{ Command string } `json:"mcpServers"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &printed))
	assert.True(t, filepath.IsAbs(printed.MCPServers["zai-image"].Command))
	_, err := os.Stat(file)
	require.ErrorIs(t, err, os.ErrNotExist, "printing changes nothing")

	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	before := "{\n  \"mcpServers\": {\"other\": {\"command\": \"x\"}},\n  \"mine\": 1\n}\n"
	require.NoError(t, os.WriteFile(file, []byte(before), 0o640))
	out, errs, exit = execute(t, p, "config", "cursor", "--write")
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
	assert.Equal(t, before, string(kept))
	for _, path := range []string{file, backups[0]} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		if runtime.GOOS != "windows" { // Windows has no such modes
			assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
		}
	}
	out, _, exit = execute(t, p, "config", "cursor", "--write")
	assert.Zero(t, exit)
	assert.Contains(t, out, "already")
	_, errs, exit = execute(t, p, "config", "cursor", "--write", "--sandbox")
	assert.Equal(t, 1, exit, "standard input is not a terminal")
	assert.Contains(t, errs, "Replace it?")
	assert.Contains(t, errs, "args")
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(written), string(after))
	_, errs, exit = execute(t, p, "config", "cursor", "--write", "--sandbox", "--yes")
	assert.Zero(t, exit, errs)
	after, err = os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(after), "--sandbox")
	// An entry that the user switched off stays off, and the command reports it.
	require.NoError(t, os.WriteFile(file, bytes.Replace(after, []byte(`"args"`), []byte(`"disabled": true, "args"`), 1), 0o600))
	for range 2 {
		out, errs, exit := execute(t, p, "config", "cursor", "--write", "--yes")
		assert.Zero(t, exit, errs)
		assert.Contains(t, out, "switched off")
	}
}

// VS Code replaces the variable for the open folder in the file of a project, and may not
// start a server whose entry in the profile has it: config prints the entry of a project,
// and writes that of the profile.
func TestConfig_VSCode(t *testing.T) {
	t.Parallel()
	const advice = "put the entry that zai-image-mcp config vscode prints into .vscode/mcp.json.\n"
	home := t.TempDir()
	p := newProcess(t, home, nil)
	host, err := hostconfig.Find("vscode")
	require.NoError(t, err)
	file := host.File(hostconfig.Machine{OS: runtime.GOOS, Home: home, Env: func(string) string { return "" }})
	out, errs, exit := execute(t, p, "config", "vscode")
	require.Zero(t, exit, errs)
	assert.Equal(t, "For a project's .vscode/mcp.json (--write changes "+file+", which applies to all projects):\n", errs)
	assert.Contains(t, out, "${workspaceFolder}")
	out, errs, exit = execute(t, p, "config", "vscode", "--write")
	require.Zero(t, exit, errs)
	assert.Equal(t, 1, strings.Count(out, advice), out)
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(written), p.Executable)
	assert.NotContains(t, string(written), "--project")
	for project, advised := range map[string]bool{"${workspaceFolder}": true, "/mine": false} {
		own := strings.Replace(string(written), `"args": []`, `"args": ["--project", "`+project+`"]`, 1)
		require.NoError(t, os.WriteFile(file, []byte(own), 0o600))
		out, errs, exit = execute(t, p, "config", "vscode", "--write")
		require.Zero(t, exit, errs)
		assert.Contains(t, out, "already has this entry")
		assert.Equal(t, advised, strings.Contains(out, advice), project)
	}
	out, errs, exit = execute(t, p, "config", "cursor", "--write")
	require.Zero(t, exit, errs)
	assert.NotContains(t, out, "save_as")
}

func TestConfig_Usage(t *testing.T) {
	t.Parallel()
	// go run builds the program in a folder like this one, and deletes it on exit.
	p := newProcess(t, t.TempDir(), nil)
	p.Executable = filepath.Join(t.TempDir(), "go-build1", "b001", "exe", "zai-image-mcp")
	_, errs, exit := execute(t, p, "config", "cursor")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "go build")
	_, errs, exit = run(t, nil, "config", "cursor", "--key-file", "/does/not/exist")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "--key-file")
	_, errs, exit = run(t, nil, "config", "notepad")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "claude-desktop, claude-code")
	p.Home = ""
	_, errs, exit = execute(t, p, "config", "cursor")
	assert.Equal(t, 1, exit)
	assert.Contains(t, errs, "home folder")
}

// config --write creates the file of every host, and doctor finds the entry.
func TestConfig_AllHosts(t *testing.T) {
	t.Parallel()
	for _, name := range hostconfig.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			p := newProcess(t, home, nil)
			require.NoError(t, os.MkdirAll(filepath.Dir(p.Executable), 0o755))
			require.NoError(t, os.WriteFile(p.Executable, nil, 0o755))
			out, errs, exit := execute(t, p, "config", name, "--write", "--sandbox")
			require.Zero(t, exit, errs)
			assert.Contains(t, out, home)
			_, help, _ := execute(t, p, "config", "--help")
			assert.Empty(t, help)
			out, _, _ = execute(t, p, "doctor")
			assert.Contains(t, out, "ok       hosts    set up: "+name)
		})
	}
	out, _, exit := run(t, nil, "config", "--help")
	assert.Zero(t, exit)
	for _, name := range hostconfig.Names() {
		assert.Contains(t, out, name)
	}
}
