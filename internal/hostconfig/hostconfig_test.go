package hostconfig_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tailscale/hujson"

	"zai-image-mcp/internal/hostconfig"
)

var update = flag.Bool("update", false, "write the golden files")

func server() hostconfig.Server {
	return hostconfig.Server{Command: `C:\Program Files\zai "image"\zai-image-mcp.exe`}
}

func filed() hostconfig.Server {
	s := server()
	s.KeyFile = "/etc/key"
	return s
}

func trying() hostconfig.Server {
	s := server()
	s.Sandbox = true
	return s
}

func client(t *testing.T, name string) hostconfig.Client {
	t.Helper()
	c, err := hostconfig.Find(name)
	require.NoError(t, err)
	return c
}

// The entry of each client, as a whole file and inside one that holds others'.
func TestEntries(t *testing.T) {
	for _, name := range hostconfig.Names() {
		t.Run(name, func(t *testing.T) {
			entry, err := client(t, name).Entry(server())
			require.NoError(t, err)
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(entry), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), entry)
			var read map[string]any
			if name == "codex" {
				require.NoError(t, toml.Unmarshal([]byte(entry), &read))
			} else {
				require.NoError(t, json.Unmarshal([]byte(entry), &read))
			}
			if name == "vscode" {
				assert.Equal(t, 2, strings.Count(entry, "zai-key"), "it asks for the key")
				assert.NotContains(t, entry, hostconfig.Placeholder)
				return
			}
			assert.Contains(t, entry, hostconfig.Placeholder)
		})
	}
}

const foreignJSON = `{
  // what the user wrote
  "theme": "dark",   "numbers": [1,2,   3e2],
  "KEY": {
    "other": {"command": "x", "args": []}, // keep me
  },
  "last": 9007199254740993,
}
`

const foreignTOML = `# what the user wrote
model = "gpt-5"   # keep me

[mcp_servers.other]
command = "x"

[mcp_servers.other.env]
A = "b"

[profiles."a.b"]
approval = "never"
`

func foreign(c, key string) string {
	if c == "codex" {
		return foreignTOML
	}
	return strings.Replace(foreignJSON, "KEY", key, 1)
}

func keyOf(name string) string {
	switch name {
	case "vscode":
		return "servers"
	case "opencode":
		return "mcp"
	default:
		return "mcpServers"
	}
}

// Whatever else a file holds stays as it is, byte for byte, in its order.
func TestMergeKeepsEverythingElse(t *testing.T) {
	for _, name := range hostconfig.Names() {
		t.Run(name, func(t *testing.T) {
			before, c := foreign(name, keyOf(name)), client(t, name)
			first, err := c.Merge([]byte(before), trying())
			require.NoError(t, err)
			assert.True(t, first.Changed)
			assert.Empty(t, first.Was)
			rest := string(first.Text)
			for line := range strings.Lines(before) {
				line = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "}"))
				at := strings.Index(rest, line)
				require.GreaterOrEqual(t, at, 0, "%q is still there, in its place:\n%s", line, first.Text)
				rest = rest[at+len(line):]
			}
			servers := read(t, name, first.Text)[map[bool]string{true: "mcp_servers", false: keyOf(name)}[name == "codex"]].(map[string]any)
			assert.Len(t, servers, 2)

			again, err := c.Merge(first.Text, trying())
			require.NoError(t, err)
			assert.False(t, again.Changed, "the second time there is nothing to do")
			assert.Equal(t, string(first.Text), string(again.Text))

			other := server()
			other.KeyFile = "/etc/key"
			replaced, err := c.Merge(first.Text, other)
			require.NoError(t, err)
			assert.True(t, replaced.Changed)
			assert.Contains(t, replaced.Was, "--sandbox")
			assert.NotContains(t, string(replaced.Text), "--sandbox")
			assert.Contains(t, string(replaced.Text), "keep me")
			assert.Len(t, read(t, name, replaced.Text)[map[bool]string{true: "mcp_servers", false: keyOf(name)}[name == "codex"]], 2)
		})
	}
}

func read(t *testing.T, name string, text []byte) map[string]any {
	t.Helper()
	var all map[string]any
	if name == "codex" {
		require.NoError(t, toml.Unmarshal(text, &all), string(text))
		return all
	}
	standard, err := hujson.Standardize(bytes.Clone(text))
	require.NoError(t, err, string(text))
	require.NoError(t, json.Unmarshal(standard, &all))
	return all
}

// A file that no host could read is not made worse.
func TestMergeRefuses(t *testing.T) {
	for text, name := range map[string]string{
		`{"mcpServers": `: "cursor", `[]`: "gemini", `{"servers": 7}`: "vscode", `[mcp_servers`: "codex", `{"inputs": {"a": 1}}`: "vscode",
		`{"mcpServers": {"zai-image": {"command": "a"}, "zai-image": {"command": "b"}}}`: "cursor", `{"mcpServers": {}, "x": 1, "mcpServers": {}}`: "claude-desktop",
	} {
		_, err := client(t, name).Merge([]byte(text), server())
		require.ErrorIs(t, err, hostconfig.ErrForm, text)
	}
}

// VS Code asks for the key, once, beside what else it asks for.
func TestTheInputOfVSCode(t *testing.T) {
	c := client(t, "vscode")
	ids := func(text []byte) (list []any) {
		inputs, _ := read(t, "vscode", text)["inputs"].([]any)
		for _, input := range inputs {
			list = append(list, input.(map[string]any)["id"])
		}
		return list
	}
	for text, want := range map[string][]any{
		`{"servers": {}}`: {"zai-key"}, `{"inputs": []}`: {"zai-key"},
		`{"inputs": [{"id": "other", "type": "promptString"}], "servers": {"x": {"command": "y"}}}`: {"other", "zai-key"},
		`{"inputs": [{"id": "zai-key", "type": "promptString"}]}`:                                   {"zai-key"},
		`{"servers": {"zai-image": {"command": "old", "env": {"ZAI_API_KEY": "k"}}}}`:               nil, // the user's own key stays
	} {
		m, err := c.Merge([]byte(text), server())
		require.NoError(t, err, text)
		assert.Equal(t, want, ids(m.Text), "%s", m.Text)
		again, err := c.Merge(m.Text, server())
		require.NoError(t, err)
		assert.False(t, again.Changed, text)
	}
	entry, err := c.Entry(server())
	require.NoError(t, err)
	lost := strings.Replace(entry, `"id":"zai-key"`, `"id":"renamed"`, 1)
	m, err := c.Merge([]byte(lost), server())
	require.NoError(t, err)
	assert.Equal(t, []any{"renamed", "zai-key"}, ids(m.Text), "an entry whose input is gone gets one again")
	byFile := server()
	byFile.KeyFile = "/etc/key"
	entry, err = c.Entry(byFile)
	require.NoError(t, err)
	assert.NotContains(t, entry, "inputs")
}

func TestCodexTablesInTheMiddle(t *testing.T) {
	text := "a = 1\n\n[mcp_servers.zai-image]\ncommand = \"/old/zai-image-mcp\"\n\n[mcp_servers.zai-image.env]\nX = \"y\"\n\n[z]\nb = 2"
	m, err := client(t, "codex").Merge([]byte(text), server())
	require.NoError(t, err)
	assert.Contains(t, m.Was, `"X": "***"`, "secrets are not shown")
	assert.Equal(t, map[string]any{"X": "y"}, all(t, "codex", m.Text)["env"], "what the user put there stays")
	assert.Equal(t, map[string]any{"b": int64(2)}, read(t, "codex", m.Text)["z"])
	assert.NotContains(t, string(m.Text), "/old/")
	for _, text := range []string{"a = 1", "a = 1\n", "\n", "[x]\ny=1"} {
		m, err := client(t, "codex").Merge([]byte(text), server())
		require.NoError(t, err)
		assert.Contains(t, read(t, "codex", m.Text), "mcp_servers", "%q", text)
	}
}

// all is this server's entry.
func all(t *testing.T, name string, text []byte) map[string]any {
	t.Helper()
	servers := read(t, name, text)[map[bool]string{true: "mcp_servers", false: keyOf(name)}[name == "codex"]].(map[string]any)
	return servers[hostconfig.ServerName].(map[string]any)
}

// TOML has many ways to say the same. Either the result says the same but for
// this server, or the file is left alone.
func TestCodexInOtherWords(t *testing.T) {
	for text, works := range map[string]bool{
		"mcp_servers = { other = { command = \"x\" } }\n":                                         false,
		"[mcp_servers]\nzai-image = { command = \"x\" }\n":                                        false,
		"[mcp_servers]\nzai-image.command = \"x\"\n":                                              false,
		"mcp_servers.zai-image.command = \"x\"\n":                                                 false,
		"[mcp_servers.\"zai\\u002dimage\"]\ncommand = \"x\"\n":                                    false,
		"a = '''\n[mcp_servers.zai-image]\ntext\n'''\n":                                           false,
		"[mcp_servers.zai-image]\ncommand = \"x\"\nargs = [\n\"a\"]\n[z]\nb = 1\n":                true,
		"[mcp_servers.\"zai-image.dev\"]\ncommand = \"x\"\n":                                      true,
		"[ mcp_servers . zai-image ]\ncommand = \"x\"\n\n# precious note\n# model = \"x\"\n[z]\n": true,
		"[[projects]]\nname = \"a\"\n[[projects]]\nname = \"b\"\n":                                true,
		"\ufeffa = 1\n": false,
	} {
		var before, after map[string]any
		m, err := client(t, "codex").Merge([]byte(text), server())
		if !works {
			require.ErrorIs(t, err, hostconfig.ErrForm, text)
			continue
		}
		require.NoError(t, err, text)
		require.NoError(t, toml.Unmarshal([]byte(text), &before))
		require.NoError(t, toml.Unmarshal(m.Text, &after), "%s", m.Text)
		assert.Equal(t, server().Command, all(t, "codex", m.Text)["command"])
		for _, table := range []map[string]any{before, after} {
			if servers, ok := table["mcp_servers"].(map[string]any); ok {
				if delete(servers, "zai-image"); len(servers) == 0 {
					delete(table, "mcp_servers")
				}
			}
		}
		assert.Equal(t, before, after, text)
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "#") {
				assert.Contains(t, string(m.Text), line)
			}
		}
	}
	m, err := client(t, "codex").Merge([]byte("a = 1\r\n[b]\r\nc = 2\r\n"), server())
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(m.Text), "a = 1\r\n[b]\r\nc = 2\r\n"))
	assert.Equal(t, strings.Count(string(m.Text), "\n"), strings.Count(string(m.Text), "\r\n"))
}

// Each line of others keeps its end, whatever those of its neighbours are.
func TestTOML_MixedLineEnds(t *testing.T) {
	for text, end := range map[string]string{
		"a = 1\r\nb = 2\n": "\n", "a = 1\r\nb = 2\nc = 3\r\n": "\r\n", "a = 1\r\nb = \"\"\"x\ny\"\"\"\n": "\n", "a = 1\r\nb = 2": "\r\n",
	} {
		m, err := client(t, "codex").Merge([]byte(text), server())
		require.NoError(t, err)
		added, found := strings.CutPrefix(string(m.Text), text)
		require.True(t, found, "%q", m.Text)
		assert.Equal(t, strings.Count(added, "\n"), strings.Count(added, end))
		assert.Equal(t, end == "\r\n", strings.Contains(added, "\r"))
		moved := server()
		moved.Command = "/elsewhere/zai-image-mcp"
		again, err := client(t, "codex").Merge(append(bytes.Clone(m.Text), "[z]\nq = 1\r\n"...), moved)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(again.Text), text))
		assert.True(t, strings.HasSuffix(string(again.Text), "[z]\nq = 1\r\n"))
	}
}

// The user filled in the key and set a timeout; then the program moved.
func TestTheUsersKeyStays(t *testing.T) {
	for _, name := range hostconfig.Names() {
		c := client(t, name)
		first, err := c.Merge([]byte(foreign(name, keyOf(name))), server())
		require.NoError(t, err)
		state, err := c.Inspect(first.Text)
		require.NoError(t, err)
		assert.True(t, state.Present, name)
		assert.Equal(t, name != "vscode", state.NoKey, name)
		assert.Equal(t, server().Command, state.Command)
		filled := strings.NewReplacer(hostconfig.Placeholder, "the-real-key", "${input:zai-key}", "the-real-key").Replace(string(first.Text))
		again, err := c.Merge([]byte(filled), server())
		require.NoError(t, err)
		assert.False(t, again.Changed, "%s: the same but for the key", name)
		moved := server()
		moved.Command = "/elsewhere/zai-image-mcp"
		m, err := c.Merge([]byte(filled), moved)
		require.NoError(t, err)
		assert.True(t, m.Changed)
		assert.NotContains(t, m.Was, "the-real-key")
		assert.Contains(t, string(m.Text), "the-real-key")
		assert.Contains(t, string(m.Text), "/elsewhere/")
		byFile := moved
		byFile.KeyFile = "/etc/key"
		m, err = c.Merge(m.Text, byFile)
		require.NoError(t, err)
		assert.NotContains(t, string(m.Text), "the-real-key")
		assert.Contains(t, string(m.Text), "/etc/key")
	}
	own := `{"mcpServers":{"zai-image":{"command":"old","timeout":9,"env":{"ZAI_API_KEY":"k","ZAI_IMAGE_REGION":"china"}}}}`
	m, err := client(t, "gemini").Merge([]byte(own), server())
	require.NoError(t, err)
	assert.Equal(t, json.Number("9").String(), fmt.Sprint(all(t, "gemini", m.Text)["timeout"]))
	assert.Contains(t, string(m.Text), "china")
}

// What the user added to this program's arguments stays; another program's go,
// and so does what belongs to a server elsewhere.
func TestWhatStaysOfAnEntry(t *testing.T) {
	mine := `"/old/zai-image-mcp"`
	for _, tt := range []struct {
		client, before string
		server         hostconfig.Server
		want           string // the entry as JSON, without the command
	}{
		// An entry of this program stays the user's.
		{"cursor", `{"command":` + mine + `,"args":["--region","china","--inline","none"],"env":{"Z_AI_API_KEY":"k"}}`, server(),
			`{"args":["--region","china","--inline","none"],"env":{"Z_AI_API_KEY":"k"}}`},
		{"cursor", `{"command":"C:\\old\\ZAI-Image-MCP-2.exe","args":["--wait","9s"],"env":{"FOO":"1"},"timeout":9}`, trying(), `{"args":["--sandbox","--wait","9s"],"env":{"FOO":"1"},"timeout":9}`},
		{"cursor", `{"command":` + mine + `,"args":["--sandbox"]}`, server(), `{"args":[],"env":{"ZAI_API_KEY":"your-key"}}`},
		{"cursor", `{"command":` + mine + `,"args":["--sandbox=true","--wait","9s"],"env":{"ZAI_IMAGE_SANDBOX":"1","ZAI_API_KEY":"k"}}`, server(), `{"args":["--wait","9s"],"env":{"ZAI_API_KEY":"k"}}`},
		{"cursor", `{"command":` + mine + `,"env":{"ZAI_IMAGE_SANDBOX":"true"}}`, server(), `{"env":{"ZAI_API_KEY":"your-key"}}`},
		{"cursor", `{"command":` + mine + `,"args":["--sandbox=false"],"env":{"ZAI_API_KEY":"k","ZAI_IMAGE_SANDBOX":"0"}}`, trying(), `{"args":["--sandbox"],"env":{"ZAI_API_KEY":"k"}}`},
		{"cursor", `{"command":` + mine + `,"args":["--sandbox=0"],"disabled":true}`, server(), `{"args":[],"disabled":true}`},
		{"opencode", `{"type":"local","command":[` + mine + `],"environment":{"ZAI_IMAGE_SANDBOX":"1"},"enabled":false}`, server(), `{"type":"local","environment":{"ZAI_API_KEY":"your-key"},"enabled":false}`},
		{"cursor", `{"command":` + mine + `}`, server(), `{}`}, // its key comes from elsewhere
		{"cursor", `{"command":` + mine + `,"env":{"ZAI_API_KEY":"k","A":"b"}}`, filed(), `{"env":{"ZAI_API_KEY_FILE":"/etc/key","A":"b"}}`},
		{"vscode", `{"type":"stdio","command":` + mine + `,"envFile":"/e"}`, server(), `{"type":"stdio","envFile":"/e"}`},
		{"codex", `{"command":` + mine + `,"env_vars":["ZAI_API_KEY"]}`, server(), `{"env_vars":["ZAI_API_KEY"]}`},
		// Of another program's, or a server elsewhere, only what belongs to none.
		{"cursor", `{"command":"npx","args":["mcp-remote","https://x/mcp"],"env":{"ZAI_API_KEY":"k","FOO":"1"}}`, server(), `{"args":[],"env":{"ZAI_API_KEY":"k"}}`},
		{"cursor", `{"command":"npx","disabled":true,"env":{"ZAI_IMAGE_SANDBOX":"1"},"timeout":9}`, server(), `{"args":[],"env":{"ZAI_API_KEY":"your-key"},"timeout":9}`},
		{"codex", `{"url":"https://x/mcp","enabled":false}`, server(), `{"args":[],"env":{"ZAI_API_KEY":"your-key"}}`},
		{"opencode", `{"type":"remote","url":"https://x/mcp","enabled":false}`, server(), `{"type":"local","enabled":true,"environment":{"ZAI_API_KEY":"your-key"}}`},
		{"cursor", `{"type":"http","url":"https://x/mcp","headers":{"Authorization":"Bearer t"}}`, server(), `{"args":[],"env":{"ZAI_API_KEY":"your-key"}}`},
		{"gemini", `{"httpUrl":"https://x/mcp","headers":{},"trust":true}`, server(), `{"args":[],"env":{"ZAI_API_KEY":"your-key"},"trust":true}`},
		{"vscode", `{"type":"http","url":"https://x/mcp"}`, server(), `{"type":"stdio","args":[],"env":{"ZAI_API_KEY":"${input:zai-key}"}}`},
		{"opencode", `{"type":"remote","url":"https://x/mcp","headers":{},"timeout":9}`, server(), `{"type":"local","enabled":true,"environment":{"ZAI_API_KEY":"your-key"},"timeout":9}`},
		{"codex", `{"url":"https://x/mcp","bearer_token_env_var":"T","bearer_token":"t","http_headers":{"a":"b"},"oauth_resource":"r","scopes":["s"],"tool_timeout_sec":9}`, server(),
			`{"args":[],"env":{"ZAI_API_KEY":"your-key"},"tool_timeout_sec":9}`},
	} {
		var old any
		require.NoError(t, json.Unmarshal([]byte(tt.before), &old))
		key := keyOf(tt.client)
		text := fmt.Appendf(nil, `{%q: {"zai-image": %s}}`, key, tt.before)
		if tt.client == "codex" {
			var err error
			text, err = toml.Marshal(map[string]any{"mcp_servers": map[string]any{"zai-image": old}})
			require.NoError(t, err)
		}
		m, err := client(t, tt.client).Merge(text, tt.server)
		require.NoError(t, err, tt.before)
		assert.NotEmpty(t, m.Was, "it is asked about")
		entry := all(t, tt.client, m.Text)
		if tt.client == "opencode" {
			assert.Equal(t, []any{tt.server.Command}, entry["command"])
		} else {
			assert.Equal(t, tt.server.Command, entry["command"])
		}
		delete(entry, "command")
		got, err := json.Marshal(entry)
		require.NoError(t, err)
		assert.JSONEq(t, tt.want, string(got), tt.before)
	}
	own := `{"mcp":{"zai-image":{"type":"local","command":["/old/zai-image-mcp","--region","china"],"enabled":false}}}`
	m, err := client(t, "opencode").Merge([]byte(own), trying())
	require.NoError(t, err)
	assert.Equal(t, []any{server().Command, "--sandbox", "--region", "china"}, all(t, "opencode", m.Text)["command"])
	assert.Equal(t, false, all(t, "opencode", m.Text)["enabled"])
}

// The question before an entry is replaced shows it without what is secret.
func TestTheQuestionTellsNoSecrets(t *testing.T) {
	m, err := client(t, "cursor").Merge([]byte(`{"mcpServers":{"zai-image":{"command":"npx KEY=SECRET0 run","args":["mcp-remote","https://u:SECRETU@x/mcp?key=SECRET1",
		"--header","Authorization: Bearer SECRET2","--header=X: SECRET3","-H","SECRET4","-e","ZAI_API_KEY=SECRET5","--token","SECRET6","--api-key=SECRET7","/a/path","C:\\a path","--region","china",["SECRET8"]],
		"env":{"K":"SECRETE"},"headers":{"A":"SECRETH"},"url":"https://y/?t=SECRETQ","bearer_token":"SECRETB","apiKey":"SECRETA","list":[{"a":"SECRETL"}],"timeout":9}}}`), server())
	require.NoError(t, err)
	assert.NotContains(t, m.Was, "SECRET")
	for _, kept := range []string{"npx ***", "mcp-remote", "https://x/mcp?***", "Authorization***", "--header***", `"K": "***"`, "https://y/?***", "ZAI_API_KEY***", "--api-key***", "/a/path", `C:\\a path`, "china", `"timeout": 9`} {
		assert.Contains(t, m.Was, kept)
	}
}

// Files as editors on Windows and people with tabs write them.
func TestOrdinaryFiles(t *testing.T) {
	c := client(t, "cursor")
	m, err := c.Merge([]byte("\ufeff{\"mcpServers\": null}"), server())
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(m.Text), "\ufeff{"))
	assert.Contains(t, string(m.Text), "zai-image")
	m, err = client(t, "vscode").Merge([]byte("\ufeff{}"), server())
	require.NoError(t, err)
	assert.Contains(t, string(m.Text), "zai-key")
	m, err = c.Merge([]byte("{\n\t\"mcpServers\": {\n\t\t\"other\": {\"command\": \"x\"}\n\t}\n}\n"), server())
	require.NoError(t, err)
	assert.Contains(t, string(m.Text), "},\n\t\t\"zai-image\":", "%s", m.Text)
	m, err = c.Merge([]byte("{\r\n\t\"mcpServers\": {\r\n\t\t\"other\": {\"command\": \"x\"}\r\n\t}\r\n}\r\n"), server())
	require.NoError(t, err)
	assert.Equal(t, strings.Count(string(m.Text), "\n"), strings.Count(string(m.Text), "\r\n"))
	m, err = client(t, "vscode").Merge([]byte("{\n\t\"servers\": {},\n\t\"inputs\": null\n}"), server())
	require.NoError(t, err)
	assert.Contains(t, string(m.Text), "zai-key")
	m, err = client(t, "vscode").Merge([]byte("{\n\t\"a\": 1,\n\t\"servers\": {}\n}"), server())
	require.NoError(t, err)
	assert.Contains(t, string(m.Text), ",\n\t\"inputs\":", "%s", m.Text)
	m, err = c.Merge([]byte("\ufeff"), server())
	require.NoError(t, err)
	assert.Contains(t, string(m.Text), "zai-image")
	for _, text := range []string{`{"mcpServers":{"zai-image":"mine"}}`, `{"mcpServers":{"zai-image":null}}`} {
		_, err := c.Merge([]byte(text), server())
		require.ErrorIs(t, err, hostconfig.ErrForm, text)
	}
}

// Where each host looks, on each system.
func TestFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED here: the paths below have slashes")
	}
	none := func(string) string { return "" }
	app := func(name string) string {
		return map[string]string{"APPDATA": "/h/Roaming", "XDG_CONFIG_HOME": "/x", "CODEX_HOME": "/c"}[name]
	}
	tests := []struct {
		client, system string
		env            func(string) string
		want           string
	}{
		{"claude-desktop", "linux", none, "/h/.config/Claude/claude_desktop_config.json"},
		{"claude-desktop", "linux", app, "/x/Claude/claude_desktop_config.json"},
		{"claude-desktop", "darwin", app, "/h/Library/Application Support/Claude/claude_desktop_config.json"},
		{"claude-desktop", "windows", app, "/h/Roaming/Claude/claude_desktop_config.json"},
		{"claude-desktop", "windows", none, "/h/AppData/Roaming/Claude/claude_desktop_config.json"},
		{"vscode", "linux", none, "/h/.config/Code/User/mcp.json"},
		{"vscode", "darwin", none, "/h/Library/Application Support/Code/User/mcp.json"},
		{"vscode", "windows", app, "/h/Roaming/Code/User/mcp.json"},
		{"claude-code", "linux", none, "/h/.claude.json"},
		{"claude-code", "linux", func(string) string { return "/d" }, "/d/.claude.json"},
		{"cursor", "darwin", none, "/h/.cursor/mcp.json"},
		{"codex", "linux", none, "/h/.codex/config.toml"},
		{"codex", "linux", app, "/c/config.toml"},
		{"gemini", "windows", none, "/h/.gemini/settings.json"},
		{"opencode", "linux", none, "/h/.config/opencode/opencode.json"},
		{"opencode", "linux", app, "/x/opencode/opencode.json"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, client(t, tt.client).File(hostconfig.Machine{OS: tt.system, Home: "/h", Env: tt.env}), "%s on %s", tt.client, tt.system)
	}
	glob := func(pattern string) ([]string, error) {
		if pattern == "/l/Packages/Claude_*/LocalCache/Roaming/Claude" {
			return []string{"/l/Packages/Claude_1/LocalCache/Roaming/Claude"}, nil
		}
		return nil, nil
	}
	local := func(name string) string { return map[string]string{"LOCALAPPDATA": "/l", "APPDATA": "/r"}[name] }
	for system, want := range map[string]string{"windows": "/l/Packages/Claude_1/LocalCache/Roaming/Claude/claude_desktop_config.json", "linux": "/h/.config/Claude/claude_desktop_config.json"} {
		assert.Equal(t, want, client(t, "claude-desktop").File(hostconfig.Machine{OS: system, Home: "/h", Env: local, Glob: glob}))
	}
	commented := func(string) ([]string, error) { return []string{"/h/.config/opencode/opencode.jsonc"}, nil }
	assert.Equal(t, "/h/.config/opencode/opencode.jsonc", client(t, "opencode").File(hostconfig.Machine{OS: "linux", Home: "/h", Env: none, Glob: commented}))
	_, err := hostconfig.Find("notepad")
	require.Error(t, err)
}
