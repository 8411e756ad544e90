package terminal_test

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/hostconfig"
	"zai-image-mcp/internal/terminal"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// platform is one of the two, which takes one key.
func platform(t *testing.T, region zai.Region, takes, key string) *zai.Client {
	t.Helper()
	api := httptest.NewServer(sandbox.New(sandbox.Options{Key: takes}))
	t.Cleanup(api.Close)
	c, err := zai.NewClient(key, zai.WithRegion(region), zai.WithBaseURL(api.URL+sandbox.BasePath))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestDoctor(t *testing.T) {
	const key = "the-users-key"
	home, folder := t.TempDir(), t.TempDir()
	machine := hostconfig.Machine{OS: "linux", Home: home, Env: func(string) string { return "" }}
	library := resources.New(resources.Options{Folder: folder, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	defer library.Close()
	gone, err := zai.NewClient(key, zai.WithBaseURL("http://127.0.0.1:1/api/paas/v4"))
	require.NoError(t, err)
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
	for _, tt := range []struct {
		name   string
		doctor terminal.Doctor
		before func()
		want   string
		fails  bool
		asked  string // key, region, address
	}{
		{"all is well", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, nil, "accepted by region global", false, ""},
		{"no key", terminal.Doctor{}, nil, "set ZAI_API_KEY", true, ""},
		{"the other platform's key", terminal.Doctor{Client: platform(t, zai.Global, "x", key), Other: platform(t, zai.China, key, key)}, nil, "accepted by china: set --region china", true, ""},
		{"nobody's key", terminal.Doctor{Client: platform(t, zai.Global, "x", key), Other: platform(t, zai.China, "x", key)}, nil, "refused the API key", true, ""},
		{"no connection", terminal.Doctor{Client: gone}, nil, "no connection to 127.0.0.1:1", true, ""},
		{"a host", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() { write(".cursor/mcp.json", entry(here, key)) }, "ok       hosts    set up: cursor", false, key + "  ;"},
		{"a key in a host alone", terminal.Doctor{}, nil, "the hosts have their own", false, key + "  ;"},
		{"a host whose key is refused", terminal.Doctor{}, func() { write(".cursor/mcp.json", entry(here, "another")) }, "cursor: its key is refused by region global", true, "another  ;"},
		{"a host whose key is the other platform's", terminal.Doctor{}, func() {
			write(".cursor/mcp.json", strings.Replace(entry(here, key), `"args":[]`, `"args":["--region","china"]`, 1))
		}, "cursor: its key is refused by region china", true, key + " china ;"},
		{"a host with a file for the key", terminal.Doctor{}, func() {
			write("key", key+"\n")
			write(".cursor/mcp.json", strings.Replace(entry(here, home+"/key"), "ZAI_API_KEY", "ZAI_API_KEY_FILE", 1))
		}, "ok       hosts    set up: cursor", false, key + "  ;"},
		{"a host without that file", terminal.Doctor{}, func() { require.NoError(t, os.Remove(filepath.Join(home, "key"))) }, "cursor: has a file for the key that cannot be read", true, ""},
		{"a host that tries the sandbox", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() {
			write(".cursor/mcp.json", `{"mcpServers":{"zai-image":{"command":"x","args":["--sandbox"],"env":{"ZAI_API_KEY":"real"}}}}`)
		}, "ok       hosts    set up: cursor", false, ""},
		{"a host that asks for the key", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() {
			write(".cursor/mcp.json", entry(here, "${input:zai-key}"))
		}, "ok       hosts    set up: cursor", false, ""},
		{"a host of another address", terminal.Doctor{}, func() {
			write(".cursor/mcp.json", strings.Replace(entry(here, key), `"args":[]`, `"args":["--base-url=http://own/v4","--region=global"]`, 1))
		}, "ok       hosts    set up: cursor", false, key + " global http://own/v4;"},
		{"a host that fills in the address", terminal.Doctor{}, func() {
			write(".cursor/mcp.json", strings.Replace(entry(here, key), `"args":[]`, `"args":["--base-url","${URL}"]`, 1))
		}, "ok       hosts    set up: cursor", false, ""},
		{"a server elsewhere", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() {
			write(".cursor/mcp.json", `{"mcpServers":{"zai-image":{"url":"https://x/mcp","env":{"ZAI_API_KEY":"real"}}}}`)
		}, "ok       hosts    set up: cursor", false, ""},
		{"a host without anything about a key", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() {
			write(".cursor/mcp.json", fmt.Sprintf(`{"mcpServers":{"zai-image":{"command":%q}}}`, here))
		}, "ok       hosts    set up: cursor", false, ""},
		{"a program that is gone", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() { write(".cursor/mcp.json", entry("/does/not/exist", key)) }, "cursor: starts /does/not/exist, which is not there", true, ""},
		{"a host without key", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() { write(".cursor/mcp.json", entry(here, "your-zai-api-key")) }, "cursor: has no key; put yours in place of", true, ""},
		{"a host that cannot start", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() {
			write(".cursor/mcp.json", entry(here, key))
			write(".gemini/settings.json", "{")
		}, "settings.json cannot be read; set up: cursor", true, key + "  ;"},
		{"a key file that is not there", terminal.Doctor{BadKey: errors.New("it cannot be read")}, nil, "PROBLEM  key      it cannot be read", true, key + "  ;"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.before != nil {
				tt.before()
			}
			var out bytes.Buffer
			tt.doctor.Library, tt.doctor.Machine, tt.doctor.Out = library, machine, &out
			tt.doctor.NetworkFileSystem = func(string) (string, bool) { return "", false }
			asked := ""
			tt.doctor.Connect = func(given, region, base string) (*zai.Client, error) {
				asked += fmt.Sprintf("%s %s %s;", given, region, base)
				takes := map[string]string{"": key, "global": key}[region]
				return platform(t, zai.Region(cmp.Or(region, "global")), cmp.Or(takes, "none"), given), nil
			}
			err := tt.doctor.Run(t.Context())
			assert.Contains(t, out.String(), tt.want)
			assert.NotContains(t, out.String(), key)
			assert.Equal(t, tt.asked, asked, "keys go where the hosts send them")
			assert.Len(t, bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n")), 4, "one line for each thing")
			if tt.fails {
				require.ErrorIs(t, err, terminal.ErrProblems)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestDoctor_NetworkFileSystem(t *testing.T) {
	const key = "the-users-key"
	folder := t.TempDir()
	library := resources.New(resources.Options{Folder: folder, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	defer library.Close()
	var out bytes.Buffer
	doctor := terminal.Doctor{
		Client: platform(t, zai.Global, key, key), Library: library, Catalog: filepath.Join(folder, ".catalog.db"), Out: &out,
		Machine:           hostconfig.Machine{OS: "linux", Home: t.TempDir(), Env: func(string) string { return "" }},
		NetworkFileSystem: func(f string) (string, bool) { return "NFS", f == folder },
	}
	require.NoError(t, doctor.Run(t.Context()), "it works, with care")
	assert.Contains(t, out.String(), "WARNING  catalog")
	assert.Contains(t, out.String(), "is on NFS")
}
