package terminal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/hostconfig"
	"zai-image-mcp/internal/terminal"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

func TestMirroredBy(t *testing.T) {
	for folder, want := range map[string]string{
		`C:\Users\me\OneDrive\Pictures\zai-images`:                          "OneDrive",
		`C:\Users\me\OneDrive - Contoso Ltd\Pictures`:                       "OneDrive",
		`C:\Users\me\iCloudDrive\ai`:                                        "iCloud",
		`G:\My Drive\ai`:                                                    "Google Drive",
		"/home/me/Dropbox/ai":                                               "Dropbox",
		"/home/me/Dropbox (Work)/ai":                                        "Dropbox",
		"/home/me/Nextcloud/Photos":                                         "Nextcloud",
		"/Users/me/Library/CloudStorage/OneDrive-Personal/ai":               "OneDrive",
		"/Users/me/Library/CloudStorage/GoogleDrive-me@x.org/My Drive":      "Google Drive",
		"/Users/me/Library/CloudStorage/Dropbox/ai":                         "Dropbox",
		"/Users/me/Library/CloudStorage/Box-Box/ai":                         "a cloud service",
		"/Users/me/Library/Mobile Documents/com~apple~CloudDocs/zai-images": "iCloud",
		"/home/me/Pictures/zai-images":                                      "",
		"/home/me/dropbox-notes/ai":                                         "",
		`C:\Users\me\Pictures\zai-images`:                                   "",
	} {
		assert.Equal(t, want, terminal.MirroredBy(folder, func(string) string { return "" }), folder)
	}
	root := t.TempDir()
	env := func(name string) string { return map[string]string{"OneDriveCommercial": root}[name] }
	assert.Equal(t, "OneDrive", terminal.MirroredBy(filepath.Join(root, "not", "there", "yet"), env))
	assert.Equal(t, "OneDrive", terminal.MirroredBy(root, env))
	assert.Empty(t, terminal.MirroredBy(root+"-beside", env))
	link := filepath.Join(t.TempDir(), "link")
	if os.Symlink(root, link) == nil {
		assert.Equal(t, "OneDrive", terminal.MirroredBy(filepath.Join(link, "ai"), env))
	}
}

func TestExpandHome(t *testing.T) {
	home := filepath.FromSlash("/home/me")
	for name, want := range map[string]string{
		"~": home, "~/": home, "~/a/b": filepath.Join(home, "a", "b"), "~bob/a": "~bob/a", "a/~/b": "a/~/b", "": "", "/a": "/a", "~~": "~~",
	} {
		assert.Equal(t, want, terminal.ExpandHome(name, home), name)
	}
	assert.Equal(t, "~/a", terminal.ExpandHome("~/a", ""), "no home folder is known")
}

// The doctor looks at the folder that a host's entry names, as its server would.
func TestDoctor_HostFolders(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "a-file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(home, "key"), []byte("\xff\xfek\x00e\x00y\x00"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(home, ".cursor"), 0o700))
	here, err := os.Executable()
	require.NoError(t, err)
	quiet := slog.New(slog.DiscardHandler)
	open := func(folder, catalog string) *resources.Library {
		return resources.New(resources.Options{Folder: folder, Catalog: catalog, Now: time.Now, Random: rand.Reader, Log: quiet})
	}
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
		{"not to be written", []string{"--store", filepath.Join(file, "ai")}, nil, false, "cursor: cannot write to its folder " + filepath.Join(file, "ai"), true, ""},
		{"relative", nil, map[string]string{"ZAI_IMAGE_STORE": "ai"}, false, "cursor: keeps its images at ai, which is another place", true, ""},
		{"relative catalog", []string{"--catalog=c.db"}, nil, false, "cursor: keeps its images at c.db", true, ""},
		{"filled in by the host", []string{"--store=${workspaceFolder}/ai"}, nil, false, "ok       hosts    set up: cursor", false, ""},
		{"switched off", []string{"--store=ai"}, nil, true, "ok       hosts    set up: cursor", false, ""},
		{"elsewhere", []string{"--store=s3://bucket"}, nil, false, "ok       hosts    set up: cursor", false, ""},
		{"mirrored", []string{"--store=~/Dropbox/ai"}, nil, false, "WARNING  catalog  " + filepath.Join(home, "Dropbox", "ai", ".catalog.db") + " is in a folder that Dropbox copies", false, "Dropbox/ai"},
		{"mirrored, catalog elsewhere", []string{"--store=~/Dropbox/ai", "--catalog=" + filepath.Join(home, "c.db")}, nil, false, "ok       hosts    set up: cursor\n", false, ""},
		{"key file", nil, map[string]string{"ZAI_API_KEY_FILE": "~/key"}, false, "ok       hosts    set up: cursor", false, ""},
		{"empty key file", nil, map[string]string{"ZAI_API_KEY_FILE": "~/a-file"}, false, "cursor: has a file for the key with nothing in it: " + file, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entry, err := json.Marshal(map[string]any{"mcpServers": map[string]any{"zai-image": map[string]any{"command": here, "args": tt.args, "env": tt.env, "disabled": tt.off}}})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(home, ".cursor", "mcp.json"), entry, 0o600))
			library := open(t.TempDir(), "")
			var out bytes.Buffer
			err = terminal.Doctor{
				NetworkFileSystem: resources.NetworkFileSystem,
				Client:            platform(t, zai.Global, "key", "key"), Library: library, Catalog: filepath.Join(library.Folder(), ".catalog.db"),
				Machine: hostconfig.Machine{OS: "linux", Home: home, Env: func(string) string { return "" }}, Open: open, Out: &out,
				Connect: func(key, _, _ string) (*zai.Client, error) { return platform(t, zai.Global, "key", key), nil },
			}.Run(t.Context())
			assert.Equal(t, tt.fails, err != nil, out.String())
			assert.Contains(t, out.String(), tt.want)
			if tt.made != "" {
				assert.DirExists(t, filepath.Join(home, filepath.FromSlash(tt.made)))
			}
			assert.NoDirExists(t, filepath.Join(home, "~"))
		})
	}
}
