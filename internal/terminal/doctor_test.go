package terminal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http/httptest"
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
	for _, tt := range []struct {
		name   string
		doctor terminal.Doctor
		before func()
		want   string
		fails  bool
	}{
		{"all is well", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, nil, "accepted by region global", false},
		{"no key", terminal.Doctor{}, nil, "set ZAI_API_KEY", true},
		{"the other platform's key", terminal.Doctor{Client: platform(t, zai.Global, "x", key), Other: platform(t, zai.China, key, key)}, nil, "accepted by china: set --region china", true},
		{"nobody's key", terminal.Doctor{Client: platform(t, zai.Global, "x", key), Other: platform(t, zai.China, "x", key)}, nil, "refused the API key", true},
		{"no connection", terminal.Doctor{Client: gone}, nil, "no connection to 127.0.0.1:1", true},
		{"a host", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() {
			write(".cursor/mcp.json", `{"mcpServers":{"zai-image":{"command":"x","env":{"ZAI_API_KEY":"a"}}}}`)
		}, "set up: cursor", false},
		{"a host without key", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() {
			write(".codex/config.toml", "[mcp_servers.zai-image]\ncommand = \"x\"\nenv = { ZAI_API_KEY = \"your-key\" }\n")
		}, "put your key in place of \"your-key\": codex", true},
		{"a host that cannot start", terminal.Doctor{Client: platform(t, zai.Global, key, key)}, func() {
			write(".codex/config.toml", "[mcp_servers.zai-image]\ncommand = \"x\"\nenv = { ZAI_API_KEY = \"k\" }\n")
			write(".gemini/settings.json", "{")
		}, "set up: cursor, codex; cannot be read: ", false},
		{"a key file that is not there", terminal.Doctor{BadKey: errors.New("it cannot be read")}, nil, "PROBLEM  key      it cannot be read", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.before != nil {
				tt.before()
			}
			var out bytes.Buffer
			tt.doctor.Library, tt.doctor.Machine, tt.doctor.Out = library, machine, &out
			err := tt.doctor.Examine(t.Context())
			assert.Contains(t, out.String(), tt.want)
			assert.NotContains(t, out.String(), key)
			assert.Len(t, bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n")), 4, "one line for each thing")
			if tt.fails {
				require.ErrorIs(t, err, terminal.ErrProblems)
			} else {
				require.NoError(t, err)
			}
		})
	}
}
