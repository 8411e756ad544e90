package program_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// fakeBrowser reports the address that it is to open, its process and its session.
const fakeBrowser = `#!/bin/sh
printf '%s %s %s\n' "$1" $$ "$(cut -d ' ' -f 6 /proc/$$/stat)" >"$OPENED"
`

// From a terminal, gallery opens a browser, which Ctrl+C does not end with the gallery.
func TestGallery_Browser(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	env := append(testrig.API(t).Env(), "ZAI_IMAGE_STORE="+t.TempDir())
	_, errs, exit := run(t, env, "generate", "--size", "512x512", "a heron")
	require.Zero(t, exit, errs)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "xdg-open"), []byte(fakeBrowser), 0o755))
	pipe := filepath.Join(folder, "opened")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	opened, err := os.OpenFile(pipe, os.O_RDWR|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer opened.Close()
	require.NoError(t, opened.SetReadDeadline(time.Now().Add(time.Minute)))

	c := command(t, t.TempDir(), append(env, "PATH="+folder+":"+os.Getenv("PATH"), "DISPLAY=:0", "OPENED="+pipe), "gallery")
	c.Stderr = io.Discard
	terminal := startInTerminal(t, c, 0)
	defer terminal.Close()
	address, err := bufio.NewReader(terminal).ReadString('\n')
	require.NoError(t, err)
	line, err := bufio.NewReader(opened).ReadString('\n')
	require.NoError(t, err)
	words := strings.Fields(line)
	require.Len(t, words, 3)
	assert.Equal(t, strings.TrimSpace(address), words[0])
	assert.Equal(t, words[1], words[2], "it has a session of its own")

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	page, err := (&http.Client{Jar: jar}).Get(words[0])
	require.NoError(t, err)
	defer page.Body.Close()
	assert.Equal(t, http.StatusOK, page.StatusCode)
	_, err = io.WriteString(terminal, "\x03")
	require.NoError(t, err)
	assert.NoError(t, c.Wait())
}
