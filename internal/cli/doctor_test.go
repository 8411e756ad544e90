package cli_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/hostconfig"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

func TestDoctor_ExitStatus(t *testing.T) {
	t.Parallel()
	env := []string{"ZAI_API_KEY=the-key", "ZAI_BASE_URL=" + startAPI(t, sandbox.Options{Key: "the-key"}), "ZAI_IMAGE_STORE=" + t.TempDir()}
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

// service replaces the API at several addresses.
type service struct {
	keys    map[string]string // address -> key that it accepts
	clients []string          // "key region address" of each client created
}

const (
	globalAPI = "https://api.z.ai/api/paas/v4"
	chinaAPI  = "https://open.bigmodel.cn/api/paas/v4"
	ownAPI    = "http://own/v4"
)

// newClient returns a function that creates clients. For an address of the
// service, the client connects to a sandbox instead.
func (s *service) newClient(t *testing.T) func(string, ...zai.Option) (*zai.Client, error) {
	return func(key string, options ...zai.Option) (*zai.Client, error) {
		client, err := zai.NewClient(key, options...)
		if err != nil {
			return nil, err
		}
		s.clients = append(s.clients, fmt.Sprintf("%s %s %s", key, client.Region(), client.BaseURL()))
		accepted, ok := s.keys[client.BaseURL()]
		if !ok {
			return client, nil
		}
		client.Close()
		return zai.NewClient(key, append(options, zai.WithBaseURL(startAPI(t, sandbox.Options{Key: accepted})))...)
	}
}

func TestDoctor_KeyAndHosts(t *testing.T) {
	t.Parallel()
	const key = "the-users-key"
	home := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(home, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	here, err := os.Executable()
	require.NoError(t, err)
	entry := func(command, key string) string {
		return fmt.Sprintf(`{"mcpServers":{"zai-image":{"command":%q,"args":[],"env":{"ZAI_API_KEY":%q}}}}`, command, key)
	}
	cursor := func(text string) func() { return func() { write(".cursor/mcp.json", text) } }
	withArgs := func(args string) func() {
		return cursor(strings.Replace(entry(here, key), `"args":[]`, `"args":[`+args+`]`, 1))
	}
	const unknownKey = "unknown-key"
	keyed, unkeyed := []string{"ZAI_API_KEY=" + key}, []string(nil)
	own := []string{key + " global " + globalAPI} // the client for the key in this environment
	for _, tt := range []struct {
		name   string
		env    []string
		global string // key that the platform accepts
		china  string
		before func()
		want   string
		fails  bool
		made   []string // clients
	}{
		{"accepted key", keyed, key, unknownKey, nil, "accepted by region global", false, own},
		{"no key", unkeyed, key, unknownKey, nil, "set ZAI_API_KEY", true, nil},
		{"the other platform's key", keyed, unknownKey, key, nil, "accepted by china: set --region china", true, append(own, key+" china "+chinaAPI)},
		{"a key that no platform accepts", keyed, unknownKey, unknownKey, nil, "refused the API key", true, append(own, key+" china "+chinaAPI)},
		{"no connection", append(keyed, "ZAI_BASE_URL=http://127.0.0.1:1/api/paas/v4"), key, unknownKey, nil, "no connection to 127.0.0.1:1", true, []string{key + " global http://127.0.0.1:1/api/paas/v4"}},
		{"a host", keyed, key, unknownKey, cursor(entry(here, key)), "ok       hosts    set up: cursor", false, append(own, own...)},
		{"a key only in a host", unkeyed, key, unknownKey, nil, "the hosts have their own", false, own},
		{"a host whose key is refused", unkeyed, key, unknownKey, cursor(entry(here, "another")), "cursor: its key is refused by region global", true, []string{"another global " + globalAPI}},
		{"a host whose key is the other platform's", unkeyed, key, unknownKey, withArgs(`"--region","china"`), "cursor: its key is refused by region china", true, []string{key + " china " + chinaAPI}},
		{"a host with a key file", unkeyed, key, unknownKey, func() {
			write("key", key+"\n")
			write(".cursor/mcp.json", strings.Replace(entry(here, home+"/key"), "ZAI_API_KEY", "ZAI_API_KEY_FILE", 1))
		}, "ok       hosts    set up: cursor", false, own},
		{"a host whose key file is missing", unkeyed, key, unknownKey, func() { require.NoError(t, os.Remove(filepath.Join(home, "key"))) }, "cursor: has a key file that cannot be read", true, nil},
		{"a host that uses the sandbox", keyed, key, unknownKey, cursor(`{"mcpServers":{"zai-image":{"command":"x","args":["--sandbox"],"env":{"ZAI_API_KEY":"real"}}}}`), "ok       hosts    set up: cursor", false, own},
		{"a host that prompts for the key", keyed, key, unknownKey, cursor(entry(here, "${input:zai-key}")), "ok       hosts    set up: cursor", false, own},
		{"a host with another address", unkeyed, key, unknownKey, withArgs(`"--base-url=` + ownAPI + `","--region=global"`), "ok       hosts    set up: cursor", false, []string{key + " global " + ownAPI}},
		{"a host that fills in the address", unkeyed, key, unknownKey, withArgs(`"--base-url","${URL}"`), "ok       hosts    set up: cursor", false, nil},
		{"a remote server", keyed, key, unknownKey, cursor(`{"mcpServers":{"zai-image":{"url":"https://x/mcp","env":{"ZAI_API_KEY":"real"}}}}`), "ok       hosts    set up: cursor", false, own},
		{"a host without any key setting", keyed, key, unknownKey, cursor(fmt.Sprintf(`{"mcpServers":{"zai-image":{"command":%q}}}`, here)), "ok       hosts    set up: cursor", false, own},
		{"a program that does not exist", keyed, key, unknownKey, cursor(entry("/does/not/exist", key)), "cursor: starts /does/not/exist, which does not exist", true, own},
		{"a host with the placeholder", keyed, key, unknownKey, cursor(entry(here, "your-zai-api-key")), "cursor: has no key; put yours in place of", true, own},
		{"an invalid configuration", keyed, key, unknownKey, func() {
			write(".cursor/mcp.json", entry(here, key))
			write(".gemini/settings.json", "{")
		}, "settings.json cannot be read; set up: cursor", true, append(own, own...)},
		{"a key file that does not exist", []string{"ZAI_API_KEY_FILE=/does/not/exist"}, key, unknownKey, nil, "PROBLEM  key      ZAI_API_KEY_FILE cannot be read", true, own},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.before != nil {
				tt.before()
			}
			s := &service{keys: map[string]string{globalAPI: tt.global, chinaAPI: tt.china, ownAPI: key}}
			p := newProcess(t, home, tt.env)
			p.NewClient = s.newClient(t)
			p.NetworkFileSystem = func(string) (string, bool) { return "", false }
			out, errs, exit := execute(t, p, "doctor")
			assert.Contains(t, out, tt.want)
			assert.NotContains(t, out+errs, key)
			assert.Equal(t, tt.made, s.clients, "each key is sent only to the address that its host uses")
			checks := slices.DeleteFunc(strings.Split(strings.TrimSpace(out), "\n"), func(line string) bool { return strings.Contains(line, " project  ") })
			assert.Len(t, checks, 4, "one line for each check")
			assert.Equal(t, map[bool]int{true: 3, false: 0}[tt.fails], exit, errs)
		})
	}
}

func TestDoctor_NetworkFileSystem(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := newProcess(t, t.TempDir(), []string{"ZAI_API_KEY=the-key", "ZAI_BASE_URL=" + startAPI(t, sandbox.Options{Key: "the-key"}), "ZAI_IMAGE_STORE=" + folder})
	p.NetworkFileSystem = func(f string) (string, bool) { return "NFS", f == folder }
	out, errs, exit := execute(t, p, "doctor")
	assert.Zero(t, exit, "a warning is not a failure: %s", errs)
	assert.Contains(t, out, "WARNING  catalog")
	assert.Contains(t, out, "is on NFS")
}

func TestDoctor_MirroredFolder(t *testing.T) {
	t.Parallel()
	env := []string{"ZAI_API_KEY=k", "ZAI_BASE_URL=" + startAPI(t, sandbox.Options{}), "ZAI_IMAGE_STORE=" + filepath.Join(t.TempDir(), "OneDrive", "Pictures")}
	out, errs, exit := run(t, env, "doctor")
	assert.Zero(t, exit, out+errs)
	assert.Contains(t, out, "WARNING  catalog")
	assert.Contains(t, out, "OneDrive copies to other machines")
	out, _, _ = run(t, append(env, "ZAI_IMAGE_CATALOG="+filepath.Join(t.TempDir(), "c.db")), "doctor")
	assert.NotContains(t, out, "WARNING")
}

// doctor checks the folder in a host's entry as the server that the host starts
// would use it.
func TestDoctor_HostFolders(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := filepath.Join(home, "a-file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(home, "key"), []byte("\xff\xfek\x00e\x00y\x00"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(home, ".cursor"), 0o700))
	here, err := os.Executable()
	require.NoError(t, err)
	for _, tt := range []struct {
		name  string
		args  []string
		env   map[string]string
		off   bool
		want  string
		fails bool
		made  string // folder below home
	}{
		{"below home", nil, map[string]string{"ZAI_IMAGE_STORE": "~/ai"}, false, "ok       hosts    set up: cursor", false, "ai"},
		{"in a flag", []string{"--store=~/flag"}, nil, false, "ok       hosts    set up: cursor", false, "flag"},
		{"not writable", []string{"--store", filepath.Join(file, "ai")}, nil, false, "cursor: cannot write to its folder " + filepath.Join(file, "ai"), true, ""},
		{"relative", nil, map[string]string{"ZAI_IMAGE_STORE": "ai"}, false, "cursor: keeps its images at the relative path ai, a different place", true, ""},
		{"relative catalog", []string{"--catalog=c.db"}, nil, false, "cursor: keeps its images at the relative path c.db", true, ""},
		{"filled in by the host", []string{"--store=${workspaceFolder}/ai"}, nil, false, "ok       hosts    set up: cursor", false, ""},
		{"switched off", []string{"--store=ai"}, nil, true, "ok       hosts    set up: cursor", false, ""},
		{"not local", []string{"--store=s3://bucket"}, nil, false, "ok       hosts    set up: cursor", false, ""},
		{"mirrored", []string{"--store=~/Dropbox/ai"}, nil, false, "WARNING  catalog  " + filepath.Join(home, "Dropbox", "ai", ".catalog.db") + " is in a folder that Dropbox copies", false, "Dropbox/ai"},
		{"mirrored, catalog elsewhere", []string{"--store=~/Dropbox/ai", "--catalog=" + filepath.Join(home, "c.db")}, nil, false, "ok       hosts    set up: cursor\n", false, ""},
		{"key file", nil, map[string]string{"ZAI_API_KEY_FILE": "~/key"}, false, "ok       hosts    set up: cursor", false, ""},
		{"empty key file", nil, map[string]string{"ZAI_API_KEY_FILE": "~/a-file"}, false, "cursor: has an empty key file: " + file, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entry, err := json.Marshal(map[string]any{"mcpServers": map[string]any{"zai-image": map[string]any{"command": here, "args": tt.args, "env": tt.env, "disabled": tt.off}}})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(home, ".cursor", "mcp.json"), entry, 0o600))
			p := newProcess(t, home, []string{"ZAI_API_KEY=key", "ZAI_IMAGE_STORE=" + t.TempDir()})
			p.NewClient = (&service{keys: map[string]string{globalAPI: "key"}}).newClient(t)
			out, _, exit := execute(t, p, "doctor")
			assert.Equal(t, tt.fails, exit != 0, out)
			assert.Contains(t, out, tt.want)
			if tt.made != "" {
				assert.DirExists(t, filepath.Join(home, filepath.FromSlash(tt.made)))
			}
			assert.NoDirExists(t, filepath.Join(home, "~"))
		})
	}
}

// doctor prints the project that the entry of each host leads to. One that cannot be used is
// a warning, and not a failure.
func TestDoctor_Projects(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	work := filepath.Join(home, "work")
	require.NoError(t, os.Mkdir(work, 0o700))
	here, err := os.Executable()
	require.NoError(t, err)
	const isSet = "ok       project  "
	const wrong = "WARNING  project  "
	container := []string{"run", "-i", "-v", work + ":/project", "zai-image-mcp", "--project", "/project"}
	for _, tt := range []struct {
		host, servers string
		args          []string
		env           map[string]string
		want          string // the line, or its beginning; "" if there is none
		command       string // "" for this program
	}{
		{"claude-code", "mcpServers", nil, nil, isSet + "claude-code: CLAUDE_PROJECT_DIR", ""},
		{"claude-code", "mcpServers", []string{"--project", work}, nil, isSet + "claude-code: " + work + "\n", ""},
		{"vscode", "servers", nil, nil, isSet + "vscode: none; put the entry into the project's .vscode/mcp.json\n", ""},
		{"vscode", "servers", []string{"--project", "${workspaceFolder}"}, nil, wrong + "vscode: ${workspaceFolder}, because of which the host may refuse to start", ""},
		{"vscode", "servers", nil, map[string]string{"ZAI_IMAGE_PROJECT": "${workspaceFolder}/x"}, wrong + "vscode: ${workspaceFolder}/x, because of which", ""},
		{"vscode", "servers", []string{"--project", work}, nil, isSet + "vscode: " + work + "\n", ""},
		{"cursor", "mcpServers", []string{"--project=${workspaceFolder}"}, nil, isSet + "cursor: the folder that is open\n", ""},
		{"cursor", "mcpServers", []string{"--project", "${workspaceFolder}/x"}, nil, isSet + "cursor: ${workspaceFolder}/x, which the host replaces\n", ""},
		{"cursor", "mcpServers", nil, nil, isSet + "cursor: the folder it starts the server in; zai-image-mcp config cursor --write", ""},
		{"cursor", "mcpServers", nil, map[string]string{"ZAI_IMAGE_PROJECT": "~/work"}, isSet + "cursor: " + work + "\n", ""},
		{"cursor", "mcpServers", []string{"--project", work + "/gone"}, nil, wrong + "cursor: --project " + work + "/gone: there is no such folder", ""},
		{"cursor", "mcpServers", []string{"--project", "work"}, nil, wrong + "cursor: --project work is relative", ""},
		{"cursor", "mcpServers", []string{"--project", "none"}, nil, isSet + "cursor: none; it is switched off", ""},
		{"cursor", "mcpServers", []string{"--project", "${env:WORK}/x"}, nil, isSet + "cursor: ${env:WORK}/x, which the host replaces", ""},
		{"cursor", "mcpServers", []string{"--transport", "http"}, nil, "", ""},
		{"gemini", "mcpServers", nil, nil, isSet + "gemini: the folder it starts the server in\n", ""},
		{"gemini", "mcpServers", []string{"--project", "${workspaceFolder}"}, nil, wrong + "gemini: ${workspaceFolder}, which this host does not replace", ""},
		{"copilot-cli", "mcpServers", nil, nil, isSet + "copilot-cli: the folder it starts the server in\n", ""},
		{"claude-desktop", "mcpServers", nil, nil, isSet + "claude-desktop: none; to set one, add \"--project\"", ""},
		{"claude-desktop", "mcpServers", container, nil, isSet + "claude-desktop: unknown; the entry starts docker\n", "docker"},
		{"claude-code", "mcpServers", container, map[string]string{"ZAI_IMAGE_PROJECT": "/project"}, isSet + "claude-code: unknown; the entry starts docker\n", "docker"},
		{"vscode", "servers", []string{"run", "-v", "${workspaceFolder}:/project", "zai-image-mcp"}, nil, isSet + "vscode: unknown; the entry starts docker\n", "docker"},
	} {
		entry, err := json.Marshal(map[string]any{tt.servers: map[string]any{"zai-image": map[string]any{
			"command": cmp.Or(tt.command, here), "args": append([]string{"--sandbox"}, tt.args...), "env": tt.env,
		}}})
		require.NoError(t, err)
		p := newProcess(t, home, []string{"ZAI_API_KEY=the-key", "ZAI_BASE_URL=" + startAPI(t, sandbox.Options{Key: "the-key"})})
		p.Executable = here
		machine := hostconfig.Machine{OS: runtime.GOOS, Home: home, Env: func(string) string { return "" }}
		host, err := hostconfig.Find(tt.host)
		require.NoError(t, err)
		file := host.File(machine)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, entry, 0o600))
		out, errs, exit := execute(t, p, "doctor")
		assert.Zero(t, exit, out+errs)
		if tt.want == "" {
			assert.NotContains(t, out, " project  ")
		} else {
			assert.Contains(t, out, tt.want)
			assert.Equal(t, 1, strings.Count(out, " project  "), out)
		}
		require.NoError(t, os.Remove(file))
	}
}
