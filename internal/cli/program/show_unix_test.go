//go:build unix

package program_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// The beginnings of the sequences that draw images.
const (
	kittySequence = "\x1b_Ga=T,f=100,q=2,m="
	itermSequence = "\x1b]1337;File=inline=1;size="
)

// printedInTerminal runs the program with standard output in a terminal and returns what
// it prints there. Standard error is elsewhere.
func printedInTerminal(t *testing.T, env []string, args ...string) string {
	t.Helper()
	c := command(t, t.TempDir(), env, args...)
	c.Stderr = io.Discard
	terminal := startInTerminal(t, c, 0)
	defer terminal.Close()
	out, _ := io.ReadAll(terminal) // on Linux, the end is an error
	require.NoError(t, c.Wait(), "%s", out)
	return string(out)
}

// generate and images show draw images in terminals that can, and only there.
func TestShow_Terminal(t *testing.T) {
	t.Parallel()
	env := append(testrig.API(t).Env(), "ZAI_IMAGE_STORE="+t.TempDir(), "TERM=xterm-kitty")
	out := printedInTerminal(t, env, "generate", "-n", "2", "--size", "512x512", "a red fox")
	lines := strings.Split(out, "\r\n")
	require.Len(t, lines, 7, "twice path, URI and image")
	for _, image := range []int{0, 3} {
		assert.NotContains(t, lines[image]+lines[image+1], "\x1b")
		assert.True(t, strings.HasPrefix(lines[image+2], kittySequence), "%.100q", lines[image+2])
	}
	uri := lines[1]
	for _, tt := range []struct {
		name, want string
		env, args  []string
	}{
		{"kitty", kittySequence, nil, nil},
		{"iTerm2", itermSequence, []string{"TERM=xterm-256color", "TERM_PROGRAM=iTerm.app"}, nil},
		{"chosen by the flag", itermSequence, nil, []string{"--show", "iterm"}},
		{"chosen by the variable", itermSequence, []string{"ZAI_IMAGE_SHOW=iTerm"}, nil},
		{"unknown terminal", "", []string{"TERM=xterm-256color"}, nil},
		{"switched off", "", nil, []string{"--show=none"}},
		{"tmux", "", []string{"TMUX=/tmp/tmux-0/default,1,0"}, []string{"--show=kitty"}},
		{"CI", "", []string{"CI=true"}, []string{"--show=kitty"}},
	} {
		out := printedInTerminal(t, append(env, tt.env...), append([]string{"images", "show", uri}, tt.args...)...)
		json, drawn, found := strings.Cut(out, "\r\n}\r\n")
		require.True(t, found, tt.name)
		assert.NotContains(t, json, "\x1b", tt.name)
		if tt.want == "" {
			assert.Empty(t, drawn, tt.name)
		} else {
			assert.True(t, strings.HasPrefix(drawn, tt.want), "%s: %.100q", tt.name, drawn)
		}
	}
}

// Nothing is drawn into a pipe, also if a protocol is named.
func TestShow_Pipe(t *testing.T) {
	t.Parallel()
	env := append(testrig.API(t).Env(), "ZAI_IMAGE_STORE="+t.TempDir(), "TERM=xterm-kitty")
	for _, show := range []string{"auto", "kitty", "iterm"} {
		out, errs, exit := run(t, env, "generate", "--show", show, "--size", "512x512", "a red fox")
		require.Zero(t, exit, errs)
		assert.NotContains(t, out+errs, "\x1b", show)
		_, uri, _ := strings.Cut(strings.TrimSpace(out), "\n")
		out, errs, exit = run(t, env, "images", "show", "--show", show, uri)
		require.Zero(t, exit, errs)
		assert.NotContains(t, out+errs, "\x1b", show)
	}
}
