package terminal_test

import (
	"bytes"
	"encoding/base64"
	"flag"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/terminal"
)

var update = flag.Bool("update", false, "write the golden files")

// environment returns the variables in a list like "TERM=dumb CI=true".
func environment(list string) func(string) string {
	return func(name string) string {
		for entry := range strings.FieldsSeq(list) {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestDetect(t *testing.T) {
	for env, want := range map[string]terminal.Protocol{
		"":                                      terminal.None,
		"TERM=xterm-256color":                   terminal.None,
		"TERM=linux":                            terminal.None,
		"TERM=xterm-kitty":                      terminal.Kitty,
		"TERM=xterm-kitty KITTY_WINDOW_ID=1":    terminal.Kitty,
		"TERM=xterm-256color KITTY_WINDOW_ID=1": terminal.Kitty,
		"TERM=xterm-ghostty TERM_PROGRAM=ghostty":                           terminal.Kitty,
		"TERM=xterm-256color TERM_PROGRAM=ghostty":                          terminal.Kitty,
		"TERM=xterm-256color KONSOLE_VERSION=220401":                        terminal.Kitty,
		"TERM=xterm-256color KONSOLE_VERSION=251200":                        terminal.Kitty,
		"TERM=xterm-256color KONSOLE_VERSION=211203":                        terminal.None,
		"TERM=xterm-256color KONSOLE_VERSION=24.08":                         terminal.None,
		"TERM=xterm-256color TERM_PROGRAM=iTerm.app LC_TERMINAL=iTerm2":     terminal.ITerm,
		"TERM=xterm-256color LC_TERMINAL=iTerm2":                            terminal.ITerm,
		"TERM=xterm-256color TERM_PROGRAM=WezTerm":                          terminal.ITerm,
		"TERM=xterm-256color TERM_PROGRAM=vscode":                           terminal.ITerm,
		"TERM_PROGRAM=vscode":                                               terminal.ITerm,
		"TERM=xterm-256color TERM_PROGRAM=vscode KITTY_WINDOW_ID=1":         terminal.ITerm,
		"TERM=xterm-kitty TERM_PROGRAM=vscode":                              terminal.Kitty,
		"TERM=xterm-256color TERM_PROGRAM=WarpTerminal":                     terminal.ITerm,
		"TERM=xterm TERM_PROGRAM=mintty":                                    terminal.ITerm,
		"TERM=xterm-256color TERM_PROGRAM=rio":                              terminal.ITerm,
		"TERM=xterm-256color TERM_PROGRAM=Apple_Terminal LC_TERMINAL=other": terminal.None,
		"TERM=xterm-256color TERM_PROGRAM=Hyper KITTY_WINDOW_ID=1":          terminal.None,
		"TERM=xterm-kitty CI=false":                                         terminal.Kitty,
	} {
		assert.Equal(t, want, terminal.Detect(environment(env)), env)
		assert.Equal(t, want, terminal.Choose(terminal.Auto, environment(env)), env)
		assert.Equal(t, terminal.Kitty, terminal.Choose("kitty", environment(env)), env)
		assert.Equal(t, terminal.ITerm, terminal.Choose("iterm", environment(env)), env)
		assert.Equal(t, terminal.None, terminal.Choose("none", environment(env)), env)
	}
}

// Where no image can be seen, no setting draws one.
func TestChoose_Hidden(t *testing.T) {
	for _, env := range []string{
		"TERM=dumb KITTY_WINDOW_ID=1",
		"TERM=xterm-kitty CI=true",
		"TERM=xterm-kitty CI=1",
		"TERM=tmux-256color KITTY_WINDOW_ID=1",
		"TERM=screen.xterm-256color LC_TERMINAL=iTerm2",
		"TERM=xterm-256color TMUX=/tmp/tmux-0/default,1,0 KITTY_WINDOW_ID=1",
		"TERM=xterm-kitty STY=1.tty",
		"TERM=xterm-kitty ZELLIJ=0",
	} {
		for _, setting := range []string{terminal.Auto, "kitty", "iterm", "none"} {
			assert.Equal(t, terminal.None, terminal.Choose(setting, environment(env)), "%s with %s", setting, env)
		}
	}
}

// FuzzDetect checks that variables that anybody may have set lead to a protocol, and to
// none where images are hidden.
func FuzzDetect(f *testing.F) {
	f.Add("xterm-kitty", "", "", "", "", "", "")
	f.Add("xterm-256color", "vscode", "1", "220400", "iTerm2", "", "")
	f.Add("screen", "tmux", "", "", "", "x", "true")
	f.Fuzz(func(t *testing.T, kind, program, window, konsole, lc, tmux, ci string) {
		env := func(name string) string {
			return map[string]string{
				"TERM": kind, "TERM_PROGRAM": program, "KITTY_WINDOW_ID": window, "KONSOLE_VERSION": konsole,
				"LC_TERMINAL": lc, "TMUX": tmux, "CI": ci,
			}[name]
		}
		found := terminal.Detect(env)
		assert.Contains(t, []terminal.Protocol{terminal.None, terminal.Kitty, terminal.ITerm}, found)
		if terminal.Hidden(env) {
			assert.Equal(t, terminal.None, found)
			assert.Equal(t, terminal.None, terminal.Choose("kitty", env))
		}
		if tmux != "" {
			assert.True(t, terminal.Hidden(env))
		}
	})
}

// preview returns a JPEG with colors that change, so that it fills several chunks.
func preview(t testing.TB, width, height int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{R: uint8(x), G: uint8(y), B: uint8(x * y / 16), A: 255})
		}
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}))
	return b.Bytes()
}

func drawn(t testing.TB, p terminal.Protocol, jpeg []byte) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, p.Draw(&b, jpeg))
	return b.String()
}

func TestDraw_None(t *testing.T) {
	assert.Empty(t, drawn(t, terminal.None, preview(t, 10, 10)))
	require.Error(t, terminal.Protocol("sixel").Draw(&bytes.Buffer{}, preview(t, 10, 10)))
	var b bytes.Buffer
	require.Error(t, terminal.Kitty.Draw(&b, []byte("no JPEG")))
	assert.Empty(t, b.String())
}

// The sequences are those of the golden files. Payloads depend on the encoders of the Go
// release, so the files have their lengths instead.
func TestDraw_Golden(t *testing.T) {
	jpeg := preview(t, 512, 384)
	for _, p := range []terminal.Protocol{terminal.Kitty, terminal.ITerm} {
		got := printable(drawn(t, p, jpeg))
		file := filepath.Join("testdata", string(p)+".txt")
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), got, "run the test with -update")
	}
}

var payload = regexp.MustCompile(`[A-Za-z0-9+/=]{40,}`)

// printable returns a sequence with names for control characters, and without the
// payloads: all chunks of Kitty but the last have the maximum length.
func printable(sequence string) string {
	named := strings.NewReplacer("\x1b\\", "<ST>\n", "\x1b", "<ESC>", "\a", "<BEL>").Replace(sequence)
	named = payload.ReplaceAllStringFunc(named, func(data string) string {
		if len(data) == 4096 {
			return "<4096 characters>"
		}
		return "<base64>"
	})
	named = regexp.MustCompile(`(<ESC>_Gq=2,m=1;<4096 characters><ST>\n)+`).ReplaceAllString(named, "$1")
	return regexp.MustCompile(`size=\d+`).ReplaceAllString(named, "size=<bytes>")
}

// The payload of iTerm2's protocol is the preview itself, and its size is right.
func TestDraw_ITerm(t *testing.T) {
	jpeg := preview(t, 300, 200)
	got := drawn(t, terminal.ITerm, jpeg)
	match := regexp.MustCompile(`^\x1b\]1337;File=inline=1;size=(\d+):([A-Za-z0-9+/=]+)\a\n$`).FindStringSubmatch(got)
	require.Len(t, match, 3)
	data, err := base64.StdEncoding.DecodeString(match[2])
	require.NoError(t, err)
	assert.Equal(t, jpeg, data)
	assert.Regexp(t, match[1], len(jpeg))
}

// The payload of kitty's protocol is a PNG of at most 320 pixels, in chunks of at most
// 4,096 characters, and nothing tells the terminal a number of rows or columns.
func TestDraw_Kitty(t *testing.T) {
	for size, want := range map[image.Point]image.Point{
		{512, 512}: {320, 320}, {512, 256}: {320, 160}, {384, 512}: {240, 320}, {100, 60}: {100, 60}, {512, 1}: {320, 1},
	} {
		got := drawn(t, terminal.Kitty, preview(t, size.X, size.Y))
		var data string
		chunks := strings.SplitAfter(strings.TrimSuffix(got, "\n"), "\x1b\\")
		chunks = chunks[:len(chunks)-1]
		for i, chunk := range chunks {
			keys, encoded, found := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(chunk, "\x1b_G"), "\x1b\\"), ";")
			require.True(t, found)
			wantKeys := map[bool]string{true: "q=2,m=0", false: "q=2,m=1"}[i == len(chunks)-1]
			if i == 0 {
				wantKeys = "a=T,f=100," + wantKeys
			}
			assert.Equal(t, wantKeys, keys)
			assert.LessOrEqual(t, len(encoded), 4096)
			assert.Zero(t, len(encoded)%4, "chunks are decoded one by one")
			data += encoded
		}
		raw, err := base64.StdEncoding.DecodeString(data)
		require.NoError(t, err)
		img, err := png.Decode(bytes.NewReader(raw))
		require.NoError(t, err)
		assert.Equal(t, want, img.Bounds().Size(), "of %v", size)
	}
}
