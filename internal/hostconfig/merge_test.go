package hostconfig_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/hostconfig"
)

const othersJSON = `{
  // what the user wrote
  "theme": "dark",   "numbers": [1,2,   3e2],
  OPEN
    "other": {"command": "x", "args": []}, // keep me
  CLOSE,
  "last": 9007199254740993,
}
`

const othersTOML = `# what the user wrote
model = "gpt-5"   # keep me

[mcp_servers.other]
command = "x"

[mcp_servers.other.env]
A = "b"

[profiles."a.b"]
approval = "never"
`

// others returns a configuration with another server and other settings.
func others(name string) string {
	if name == "codex" {
		return othersTOML
	}
	open, end := "", ""
	for _, field := range serversPath(name) {
		open, end = open+fmt.Sprintf("%q: {", field), end+"}"
	}
	return strings.NewReplacer("OPEN", open, "CLOSE", end).Replace(othersJSON)
}

// The rest of a file stays byte for byte the same, in the same order.
func TestMerge_KeepsTheRest(t *testing.T) {
	for _, name := range hostconfig.Names() {
		t.Run(name, func(t *testing.T) {
			before, h := others(name), find(t, name)
			first, err := h.Merge([]byte(before), withSandbox())
			require.NoError(t, err)
			assert.True(t, first.Changed)
			assert.False(t, first.Replaces)
			assert.Empty(t, first.Changes)
			rest := string(first.Text)
			for line := range strings.Lines(before) {
				line = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "}"))
				at := strings.Index(rest, line)
				require.GreaterOrEqual(t, at, 0, "%q is kept, in its place:\n%s", line, first.Text)
				rest = rest[at+len(line):]
			}
			assert.Len(t, servers(t, name, first.Text), 2)

			again, err := h.Merge(first.Text, withSandbox())
			require.NoError(t, err)
			assert.False(t, again.Changed, "the second merge changes nothing")
			assert.Equal(t, string(first.Text), string(again.Text))

			replaced, err := h.Merge(first.Text, withKeyFile())
			require.NoError(t, err)
			assert.True(t, replaced.Changed)
			assert.True(t, replaced.Replaces)
			args, env := "args", "env"
			if name == "opencode" {
				args, env = "command", "environment"
			}
			assert.Equal(t, []string{args, env + ".ZAI_API_KEY_FILE (added)"}, replaced.Changes)
			assert.NotContains(t, string(replaced.Text), "--sandbox")
			assert.Contains(t, string(replaced.Text), "keep me")
			assert.Len(t, servers(t, name, replaced.Text), 2)
		})
	}
}

// Merge fails for a file that a host cannot read or whose entry is ambiguous.
func TestMerge_InvalidFile(t *testing.T) {
	for text, name := range map[string]string{
		`{"mcpServers": `: "cursor", `[]`: "gemini", `{"servers": 7}`: "vscode", `[mcp_servers`: "codex", `{"inputs": {"a": 1}}`: "vscode", `{"mcp": 7}`: "zcode", `{"mcp": {"servers": []}}`: "zcode", `null`: "copilot-cli",
		`{"mcpServers": {"zai-image": {"command": "a"}, "zai-image": {"command": "b"}}}`: "cursor", `{"mcpServers": {}, "x": 1, "mcpServers": {}}`: "claude-desktop",
	} {
		_, err := find(t, name).Merge([]byte(text), server())
		require.ErrorIs(t, err, hostconfig.ErrForm, text)
	}
}

// The key and other settings of the user are kept when the path of the program
// changes.
func TestMerge_KeepsTheKey(t *testing.T) {
	for _, name := range hostconfig.Names() {
		h := find(t, name)
		first, err := h.Merge([]byte(others(name)), server())
		require.NoError(t, err)
		state, err := h.Inspect(first.Text)
		require.NoError(t, err)
		assert.True(t, state.Present, name)
		assert.Equal(t, name != "vscode", state.NoKey, name)
		assert.Equal(t, server().Command, state.Command)
		filled := strings.NewReplacer(hostconfig.Placeholder, "the-real-key", "${input:zai-key}", "the-real-key").Replace(string(first.Text))
		again, err := h.Merge([]byte(filled), server())
		require.NoError(t, err)
		assert.False(t, again.Changed, "%s: only the key differs", name)
		moved := server()
		moved.Command = "/elsewhere/zai-image-mcp"
		m, err := h.Merge([]byte(filled), moved)
		require.NoError(t, err)
		assert.True(t, m.Changed)
		assert.NotContains(t, m.Changes, "the-real-key")
		assert.Equal(t, []string{"command"}, m.Changes)
		assert.Contains(t, string(m.Text), "the-real-key")
		assert.Contains(t, string(m.Text), "/elsewhere/")
		byFile := moved
		byFile.KeyFile = "/etc/key"
		m, err = h.Merge(m.Text, byFile)
		require.NoError(t, err)
		assert.NotContains(t, string(m.Text), "the-real-key")
		assert.Contains(t, string(m.Text), "/etc/key")
	}
	own := `{"mcpServers":{"zai-image":{"command":"old","timeout":9,"env":{"ZAI_API_KEY":"k","ZAI_IMAGE_REGION":"china"}}}}`
	m, err := find(t, "gemini").Merge([]byte(own), server())
	require.NoError(t, err)
	assert.Equal(t, json.Number("9").String(), fmt.Sprint(entry(t, "gemini", m.Text)["timeout"]))
	assert.Contains(t, string(m.Text), "china")
}

// If an existing entry starts this program, the user's settings are kept. If it
// starts another program or names a remote server, few fields are kept.
func TestMerge_ExistingEntry(t *testing.T) {
	mine := `"/old/zai-image-mcp"`
	for _, tt := range []struct {
		host, before string
		server       hostconfig.Server
		want         string // the entry as JSON, without the command
	}{
		// Entries of this program: the user's settings are kept.
		{"cursor", `{"command":` + mine + `,"args":["--region","china","--inline","none"],"env":{"Z_AI_API_KEY":"k"}}`, server(),
			`{"args":["--region","china","--inline","none","--project","${workspaceFolder}"],"env":{"Z_AI_API_KEY":"k"}}`},
		{"cursor", `{"command":"C:\\old\\ZAI-Image-MCP-2.exe","args":["--wait","9s"],"env":{"FOO":"1"},"timeout":9}`, withSandbox(), `{"args":["--sandbox","--wait","9s","--project","${workspaceFolder}"],"env":{"FOO":"1"},"timeout":9}`},
		{"cursor", `{"command":` + mine + `,"args":["--sandbox"]}`, server(), `{"args":["--project","${workspaceFolder}"],"env":{"ZAI_API_KEY":"your-key"}}`},
		{"cursor", `{"command":` + mine + `,"args":["--sandbox=true","--wait","9s"],"env":{"ZAI_IMAGE_SANDBOX":"1","ZAI_API_KEY":"k"}}`, server(), `{"args":["--wait","9s","--project","${workspaceFolder}"],"env":{"ZAI_API_KEY":"k"}}`},
		{"cursor", `{"command":` + mine + `,"env":{"ZAI_IMAGE_SANDBOX":"true"}}`, server(), `{"args":["--project","${workspaceFolder}"],"env":{"ZAI_API_KEY":"your-key"}}`},
		{"cursor", `{"command":` + mine + `,"args":["--sandbox=false"],"env":{"ZAI_API_KEY":"k","ZAI_IMAGE_SANDBOX":"0"}}`, withSandbox(), `{"args":["--sandbox","--project","${workspaceFolder}"],"env":{"ZAI_API_KEY":"k"}}`},
		{"cursor", `{"command":` + mine + `,"args":["--sandbox=0"],"disabled":true}`, server(), `{"args":["--project","${workspaceFolder}"],"disabled":true}`},
		{"opencode", `{"type":"local","command":[` + mine + `],"environment":{"ZAI_IMAGE_SANDBOX":"1"},"enabled":false}`, server(), `{"type":"local","environment":{"ZAI_API_KEY":"your-key"},"enabled":false}`},
		{"cursor", `{"command":` + mine + `}`, server(), `{"args":["--project","${workspaceFolder}"]}`}, // the key is set elsewhere
		{"zcode", `{"command":` + mine + `,"args":["--region","china"],"env":{"ZAI_API_KEY":"k"},"timeoutMs":9}`, server(), `{"args":["--region","china"],"env":{"ZAI_API_KEY":"k"},"timeoutMs":9}`},
		{"copilot-cli", `{"type":"stdio","command":` + mine + `,"tools":["generate_image"]}`, withKeyFile(), `{"type":"stdio","tools":["generate_image"],"env":{"ZAI_API_KEY_FILE":"/etc/key"}}`},
		{"cursor", `{"command":` + mine + `,"env":{"ZAI_API_KEY":"k","A":"b"}}`, withKeyFile(), `{"args":["--project","${workspaceFolder}"],"env":{"ZAI_API_KEY_FILE":"/etc/key","A":"b"}}`},
		{"vscode", `{"type":"stdio","command":` + mine + `,"envFile":"/e"}`, server(), `{"type":"stdio","envFile":"/e"}`},
		{"codex", `{"command":` + mine + `,"env_vars":["ZAI_API_KEY"]}`, server(), `{"env_vars":["ZAI_API_KEY"]}`},
		// Cursor names the folder that is open, unless the entry sets a project. VS Code may
		// not start a server whose entry in the profile does.
		{"vscode", `{"command":` + mine + `,"args":["--project","/mine"]}`, server(), `{"args":["--project","/mine"]}`},
		{"vscode", `{"command":` + mine + `,"args":["--project","${workspaceFolder}"]}`, server(), `{"args":["--project","${workspaceFolder}"]}`},
		{"vscode", `{"command":` + mine + `,"args":["--wait","9s"]}`, withSandbox(), `{"args":["--sandbox","--wait","9s"]}`},
		{"vscode", `{"command":` + mine + `,"args":["--project=none","--wait","9s"]}`, server(), `{"args":["--project=none","--wait","9s"]}`},
		{"cursor", `{"command":` + mine + `,"env":{"ZAI_IMAGE_PROJECT":"/mine"}}`, server(), `{"env":{"ZAI_IMAGE_PROJECT":"/mine"}}`},
		{"cursor", `{"command":` + mine + `,"args":["--project-x"],"env":{"ZAI_IMAGE_PROJECT":""}}`, server(), `{"args":["--project-x","--project","${workspaceFolder}"],"env":{"ZAI_IMAGE_PROJECT":""}}`},
		{"cursor", `{"command":"npx","args":["--project","/x"],"env":{"ZAI_IMAGE_PROJECT":"/mine","ZAI_API_KEY":"k"}}`, withSandbox(), `{"args":["--sandbox"],"env":{"ZAI_IMAGE_PROJECT":"/mine","ZAI_API_KEY":"k"}}`},
		{"gemini", `{"command":` + mine + `,"args":["--wait","9s"]}`, server(), `{"args":["--wait","9s"]}`},
		// Entries of another program or a remote server: only numbers, booleans and
		// this program's variables are kept.
		{"cursor", `{"command":"npx","args":["mcp-remote","https://x/mcp"],"env":{"ZAI_API_KEY":"k","FOO":"1"}}`, server(), `{"args":["--project","${workspaceFolder}"],"env":{"ZAI_API_KEY":"k"}}`},
		{"cursor", `{"command":"npx","disabled":true,"env":{"ZAI_IMAGE_SANDBOX":"1"},"timeout":9}`, server(), `{"args":["--project","${workspaceFolder}"],"env":{"ZAI_API_KEY":"your-key"},"timeout":9}`},
		{"codex", `{"url":"https://x/mcp","enabled":false}`, server(), `{"args":[],"env":{"ZAI_API_KEY":"your-key"}}`},
		{"opencode", `{"type":"remote","url":"https://x/mcp","enabled":false}`, server(), `{"type":"local","enabled":true,"environment":{"ZAI_API_KEY":"your-key"}}`},
		{"cursor", `{"type":"http","url":"https://x/mcp","headers":{"Authorization":"Bearer t"}}`, server(), `{"args":["--project","${workspaceFolder}"],"env":{"ZAI_API_KEY":"your-key"}}`},
		{"gemini", `{"httpUrl":"https://x/mcp","headers":{},"trust":true}`, server(), `{"args":[],"env":{"ZAI_API_KEY":"your-key"},"trust":true}`},
		{"zcode", `{"type":"http","url":"https://x/mcp","headers":{"Authorization":"Bearer t"}}`, server(), `{"args":[],"env":{"ZAI_API_KEY":"your-key"}}`},
		{"copilot-cli", `{"type":"http","url":"https://x/mcp","headers":{},"tools":["x"]}`, server(), `{"type":"local","args":[],"env":{"ZAI_API_KEY":"your-key"},"tools":["*"]}`},
		{"vscode", `{"type":"http","url":"https://x/mcp"}`, server(), `{"type":"stdio","args":[],"env":{"ZAI_API_KEY":"${input:zai-key}"}}`},
		{"opencode", `{"type":"remote","url":"https://x/mcp","headers":{},"timeout":9}`, server(), `{"type":"local","enabled":true,"environment":{"ZAI_API_KEY":"your-key"},"timeout":9}`},
		{"codex", `{"url":"https://x/mcp","bearer_token_env_var":"T","bearer_token":"t","http_headers":{"a":"b"},"oauth_resource":"r","scopes":["s"],"tool_timeout_sec":9}`, server(),
			`{"args":[],"env":{"ZAI_API_KEY":"your-key"},"tool_timeout_sec":9}`},
	} {
		var old any
		require.NoError(t, json.Unmarshal([]byte(tt.before), &old))
		text := []byte(wrap(tt.host, fmt.Sprintf(`{"zai-image": %s}`, tt.before)))
		if tt.host == "codex" {
			var err error
			text, err = toml.Marshal(map[string]any{"mcp_servers": map[string]any{"zai-image": old}})
			require.NoError(t, err)
		}
		m, err := find(t, tt.host).Merge(text, tt.server)
		require.NoError(t, err, tt.before)
		assert.True(t, m.Replaces, "the user is asked before the entry is replaced")
		assert.NotEmpty(t, m.Changes)
		got := entry(t, tt.host, m.Text)
		if tt.host == "opencode" {
			assert.Equal(t, []any{tt.server.Command}, got["command"])
		} else {
			assert.Equal(t, tt.server.Command, got["command"])
		}
		delete(got, "command")
		rest, err := json.Marshal(got)
		require.NoError(t, err)
		assert.JSONEq(t, tt.want, string(rest), tt.before)
	}
	own := `{"mcp":{"zai-image":{"type":"local","command":["/old/zai-image-mcp","--region","china"],"enabled":false}}}`
	m, err := find(t, "opencode").Merge([]byte(own), withSandbox())
	require.NoError(t, err)
	assert.Equal(t, []any{server().Command, "--sandbox", "--region", "china"}, entry(t, "opencode", m.Text)["command"])
	assert.Equal(t, false, entry(t, "opencode", m.Text)["enabled"])
}

// Changes lists the names of the fields that change but no values, because the
// user sees it before the entry is replaced.
func TestMerge_ChangesContainNoSecrets(t *testing.T) {
	m, err := find(t, "cursor").Merge([]byte(`{"mcpServers":{"zai-image":{"command":"npx KEY=SECRET0 run","args":["mcp-remote","https://u:SECRETU@x/mcp?key=SECRET1",
		"--header","Authorization: Bearer SECRET2","--header=X: SECRET3","-H","SECRET4","-e","ZAI_API_KEY=SECRET5","--token","SECRET6","--api-key=SECRET7","/a/path","C:\\a path","--region","china",["SECRET8"]],
		"env":{"K":"SECRETE","ZAI_API_KEY":"SECRETK"},"headers":{"A":"SECRETH"},"url":"https://y/?t=SECRETQ","bearer_token":"SECRETB","apiKey":"SECRETA","list":[{"a":"SECRETL"}],"timeout":9}}}`), server())
	require.NoError(t, err)
	assert.True(t, m.Replaces)
	assert.Equal(t, []string{
		"apiKey (removed)", "args", "bearer_token (removed)", "command", "env.K (removed)", "headers (removed)", "list (removed)", "url (removed)",
	}, m.Changes)
	assert.NotContains(t, strings.Join(m.Changes, " "), "SECRET")
}

// Merge accepts files with byte order marks, tabs, CRLF and null values.
func TestMerge_FileFormats(t *testing.T) {
	h := find(t, "cursor")
	m, err := h.Merge([]byte("\ufeff{\"mcpServers\": null}"), server())
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(m.Text), "\ufeff{"))
	assert.Contains(t, string(m.Text), "zai-image")
	m, err = find(t, "vscode").Merge([]byte("\ufeff{}"), server())
	require.NoError(t, err)
	assert.Contains(t, string(m.Text), "zai-key")
	m, err = h.Merge([]byte("{\n\t\"mcpServers\": {\n\t\t\"other\": {\"command\": \"x\"}\n\t}\n}\n"), server())
	require.NoError(t, err)
	assert.Contains(t, string(m.Text), "},\n\t\t\"zai-image\":", "%s", m.Text)
	m, err = h.Merge([]byte("{\r\n\t\"mcpServers\": {\r\n\t\t\"other\": {\"command\": \"x\"}\r\n\t}\r\n}\r\n"), server())
	require.NoError(t, err)
	assert.Equal(t, strings.Count(string(m.Text), "\n"), strings.Count(string(m.Text), "\r\n"))
	m, err = find(t, "vscode").Merge([]byte("{\n\t\"servers\": {},\n\t\"inputs\": null\n}"), server())
	require.NoError(t, err)
	assert.Contains(t, string(m.Text), "zai-key")
	m, err = find(t, "vscode").Merge([]byte("{\n\t\"a\": 1,\n\t\"servers\": {}\n}"), server())
	require.NoError(t, err)
	assert.Contains(t, string(m.Text), ",\n\t\"inputs\":", "%s", m.Text)
	m, err = h.Merge([]byte("\ufeff"), server())
	require.NoError(t, err)
	assert.Contains(t, string(m.Text), "zai-image")
	for _, text := range []string{`{}`, `{"mcp": null}`, `{"mcp": {}}`, `{"mcp": {"servers": null, "timeout": 1}}`, `{"mcp": {"servers": {}}}`} {
		m, err := find(t, "zcode").Merge([]byte(text), server())
		require.NoError(t, err, text)
		assert.Equal(t, server().Command, entry(t, "zcode", m.Text)["command"], text)
		assert.Equal(t, strings.Contains(text, "timeout"), strings.Contains(string(m.Text), `"timeout": 1`))
	}
	for _, text := range []string{`{"mcpServers":{"zai-image":"mine"}}`, `{"mcpServers":{"zai-image":null}}`} {
		_, err := h.Merge([]byte(text), server())
		require.ErrorIs(t, err, hostconfig.ErrForm, text)
	}
}
