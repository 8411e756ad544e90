package cli

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIsSystemFolder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		dir, home string
		want      bool
	}{
		{"/", "/home/me", true},
		{"/home/me", "/home/me", true},
		{"/home/me/", "/home/me", true},
		{"/home", "/home/me", true},
		{"/data/users", "/data/users/me", true},
		{"/home/me/site", "/home/me", false},
		{"/home/me/usr/site", "/home/me", false},
		{"/home/other/site", "/home/me", false},
		{"/home/meadow/site", "/home/me", false},
		{"/usr/home/me/site", "/usr/home/me", false},
		{"/usr", "/home/me", true},
		{"/usr/lib/cursor", "/home/me", true},
		{"/bin", "/home/me", true},
		{"/etc/mcp", "/home/me", true},
		{"/var", "/home/me", true},
		{"/var/www/site", "/home/me", false},
		{"/opt/site", "/home/me", false},
		{"/tmp", "/home/me", true},
		{"/tmp/site", "/home/me", false},
		{"/root", "", true},
		{"/home", "", true},
		{"/workspace", "", false},
		{"/app", "/root", false},
		{"/Users/me/Library/Application Support/Claude", "/Users/me", true},
		{"/Applications/Claude.app/Contents", "/Users/me", true},
		{"/System/Volumes/Data", "/Users/me", true},
		{"/Users/me/code/library", "/Users/me", false},
		{`C:\`, `C:\Users\me`, true},
		{`C:\Windows`, `C:\Users\me`, true},
		{`c:\windows\System32`, `C:\Users\me`, true},
		{`C:\Program Files\Claude`, `C:\Users\me`, true},
		{`C:\Program Files (x86)\Host`, `C:\Users\me`, true},
		{`C:\ProgramData`, `C:\Users\me`, true},
		{`C:\Users`, `C:\Users\me`, true},
		{`C:\Users\me`, `C:\Users\me`, true},
		{`C:\Users\Me`, `C:\Users\me`, true},
		{`C:\Users\me\AppData\Local\AnthropicClaude\app-1.0`, `C:\Users\me`, true},
		{`C:\Users\me\source\site`, `C:\Users\me`, false},
		{`D:\site`, `C:\Users\me`, false},
		{`D:\`, `C:\Users\me`, true},
		{`\\server\share\site`, `C:\Users\me`, false},
	} {
		assert.Equal(t, tt.want, isSystemFolder(tt.dir, tt.home), "%s with the home folder %q", tt.dir, tt.home)
	}
}

// The project is the folder of --project, then that of CLAUDE_PROJECT_DIR, then the
// working directory. A folder that is named but cannot be used does not lead to another.
func TestProjectPlace_Find(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	home, site, other := filepath.Join(root, "people", "me"), filepath.Join(root, "site"), filepath.Join(root, "other")
	for _, dir := range []string{filepath.Join(home, "code"), filepath.Join(site, "web"), other} {
		require.NoError(t, os.MkdirAll(dir, 0o750))
	}
	file := filepath.Join(root, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, tt := range map[string]struct {
		place  projectPlace
		want   string
		reason string // part of it
		wrong  bool
	}{
		"flag":                        {place: projectPlace{flag: filePath(site), claude: other, working: other}, want: site},
		"flag, not clean":             {place: projectPlace{flag: filePath(filepath.Join(site, "web") + "/../")}, want: site},
		"flag, relative":              {place: projectPlace{flag: "web", working: site}, want: filepath.Join(site, "web")},
		"flag, the working directory": {place: projectPlace{flag: ".", working: home}, want: home},
		"flag, relative to nothing":   {place: projectPlace{flag: "web"}, reason: "--project web is relative", wrong: true},
		"flag, the home folder":       {place: projectPlace{flag: filePath(home)}, want: home},
		"flag, missing":               {place: projectPlace{flag: filePath(site + "s"), claude: other, working: other}, reason: "there is no such folder", wrong: true},
		"flag, a file":                {place: projectPlace{flag: filePath(file), claude: other, working: other}, reason: "it is not a folder", wrong: true},
		"flag, a variable":            {place: projectPlace{flag: "${workspaceFolder}", claude: other, working: other}, reason: "--project ${workspaceFolder} contains a variable", wrong: true},
		"flag, none":                  {place: projectPlace{flag: "none", claude: other, working: other}, reason: "switched off"},
		"flag, None":                  {place: projectPlace{flag: " None", claude: other, working: other}, reason: "switched off"},
		"Claude Code":                 {place: projectPlace{claude: site, working: other}, want: site},
		"Claude Code in home":         {place: projectPlace{claude: "~/code", working: other}, want: filepath.Join(home, "code")},
		"Claude Code, missing":        {place: projectPlace{claude: site + "s", working: other}, reason: "CLAUDE_PROJECT_DIR " + site + "s", wrong: true},
		"Claude Code, a variable":     {place: projectPlace{claude: "${CLAUDE_PROJECT_DIR}", working: other}, reason: "a variable", wrong: true},
		"Claude Code, named none":     {place: projectPlace{claude: "none", working: site}, reason: "no such folder", wrong: true},
		"working directory":           {place: projectPlace{working: site}, want: site},
		"working directory, home":     {place: projectPlace{working: home}, reason: "started the server in " + home},
		"working directory, above":    {place: projectPlace{working: filepath.Dir(home)}, reason: "not the folder of a project"},
		"working directory, root":     {place: projectPlace{working: "/"}, reason: "started the server in /, "},
		"working directory, unknown":  {place: projectPlace{}, reason: "not known"},
		"working directory, deleted":  {place: projectPlace{working: site + "s"}, reason: "there is no such folder"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.place.home = home
			dir, none := tt.place.find()
			assert.Equal(t, tt.want, dir)
			if tt.reason == "" {
				assert.Nil(t, none)
				return
			}
			require.NotNil(t, none)
			assert.Contains(t, none.reason, tt.reason)
			assert.Equal(t, tt.wrong, none.wrong)
			if name != "flag, none" && name != "flag, None" {
				assert.Contains(t, none.reason, "set --project (ZAI_IMAGE_PROJECT)", "it says what to do")
			}
		})
	}
}

// A link to the home folder is not taken for a project.
func TestProjectPlace_LinkToHome(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED here: links need a privilege")
	}
	root := t.TempDir()
	home, link := filepath.Join(root, "people", "me"), filepath.Join(root, "link")
	require.NoError(t, os.MkdirAll(home, 0o750))
	require.NoError(t, os.Symlink(home, link))
	_, none := projectPlace{working: link, home: home}.find()
	assert.NotNil(t, none)
	_, none = projectPlace{working: home, home: link}.find()
	assert.NotNil(t, none)
}

// A setting that cannot be used is a warning. That there is no project is not. Neither keeps
// the server from starting.
func TestServe_ProjectLog(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"none": "level=INFO msg=\"found no project", "${workspaceFolder}": "level=WARN msg=\"failed to find the project", t.TempDir(): "level=INFO msg=\"found the project",
	} {
		var log bytes.Buffer
		p := Process{
			Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &log, Pictures: t.TempDir(),
			Env: func(name string) string { return map[string]string{projectVariable: flag}[name] },
		}
		assert.Zero(t, Run(t.Context(), p, []string{"--sandbox"}))
		assert.Contains(t, log.String(), want, flag)
	}
}

func TestServe_ProjectIgnoredOverHTTP(t *testing.T) {
	t.Parallel()
	for flag, want := range map[filePath]bool{"": false, "none": false, "/site": true} {
		var log bytes.Buffer
		warnOfProject(flag, slog.New(slog.NewTextHandler(&log, nil)))
		assert.Equal(t, want, strings.Contains(log.String(), "ignored --project"), flag)
	}
}
