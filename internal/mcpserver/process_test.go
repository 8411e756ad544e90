package mcpserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// A host may start the program only to probe it; that must leave no trace.
func TestProgram_ProbeLeavesNoFiles(t *testing.T) {
	t.Parallel()
	c := program(t, nil)
	home := strings.TrimPrefix(c.Env[0], "HOME=")
	c.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}` + "\n")
	out, err := c.Output()
	require.NoError(t, err)
	assert.Contains(t, string(out), `"supportedVersions"`)
	left, err := os.ReadDir(home)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// A script that is piped in gets all its responses.
func TestProgram_EndOfInput(t *testing.T) {
	t.Parallel()
	api, env := startAPI(t)
	c := program(t, env)
	var in strings.Builder
	fmt.Fprintln(&in, testrig.Initialize)
	fmt.Fprintln(&in, testrig.Initialized)
	for id := 1; id <= 8; id++ {
		fmt.Fprintf(&in, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"sandbox:delay=100ms %d","size":"512x512"}}}`+"\n", id, id)
	}
	c.Stdin = strings.NewReader(in.String())
	out, err := c.Output()
	require.NoError(t, err)
	answers := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		var message struct {
			ID     json.RawMessage
			Result struct{ IsError bool }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &message), line)
		if message.ID != nil {
			answers[string(message.ID)] = true
			assert.False(t, message.Result.IsError, line)
		}
	}
	assert.Len(t, answers, 9)
	assert.EqualValues(t, 8, api.Accepted())
}

// SIGTERM lets a call finish whose request was sent.
func TestProgram_SIGTERM(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	api, env := startAPI(t)
	folder := t.TempDir()
	c := program(t, append(env, "ZAI_IMAGE_STORE="+folder))
	in, err := c.StdinPipe()
	require.NoError(t, err)
	var out bytes.Buffer
	c.Stdout = &out
	require.NoError(t, c.Start())
	_, err = io.WriteString(in, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"sandbox:delay=1h","size":"512x512"}}}`+"\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return api.Accepted() == 1 }, patience, time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	api.Close() // ends the delay
	require.NoError(t, c.Wait(), "exit status 0")
	assert.Contains(t, out.String(), `"status":"saved"`)
}

// The pipes of a host that dies are closed; its image is saved all the same.
func TestProgram_HostDies(t *testing.T) {
	t.Parallel()
	api, env := startAPI(t)
	folder := t.TempDir()
	c := program(t, append(env, "ZAI_IMAGE_STORE="+folder))
	in, err := c.StdinPipe()
	require.NoError(t, err)
	ours, theirs, err := os.Pipe()
	require.NoError(t, err)
	c.Stdout = theirs
	require.NoError(t, c.Start())
	require.NoError(t, theirs.Close())
	_, err = io.WriteString(in, generate(1, "sandbox:delay=1h")+"\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return api.Accepted() == 1 }, patience, time.Millisecond)
	require.NoError(t, ours.Close())
	require.NoError(t, in.Close())
	api.Close() // ends the delay
	require.NoError(t, c.Wait(), "exit status 0")
	library := testrig.Library(t, func(o *testrig.LibraryOptions) { o.Folder = folder })
	saved, _, err := library.List(t.Context(), "local", "", "", 10)
	require.NoError(t, err)
	require.Len(t, saved, 1)
	_, err = library.Read(t.Context(), saved[0])
	require.NoError(t, err)
}

// What does not end within the grace period is cut off.
func TestProgram_GraceEnds(t *testing.T) {
	t.Parallel()
	api, env := startAPI(t)
	folder := t.TempDir()
	c := program(t, append(env, "ZAI_IMAGE_STORE="+folder, "ZAI_IMAGE_SHUTDOWN_GRACE=300ms"))
	in, err := c.StdinPipe()
	require.NoError(t, err)
	var out bytes.Buffer
	c.Stdout = &out
	require.NoError(t, c.Start())
	_, err = io.WriteString(in, generate(1, "sandbox:delay=1h")+"\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return api.Accepted() == 1 }, patience, time.Millisecond)
	require.NoError(t, in.Close())
	require.NoError(t, c.Wait(), "exit status 0, while the image is not made")
	assert.EqualValues(t, 1, api.Accepted())
	assert.NotContains(t, out.String(), `"status":"saved"`)
}

// A signal fails calls that wait at once, and finishes only what was sent.
func TestProgram_SIGTERMSendsNothingNew(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	api, env := startAPI(t)
	c := program(t, append(env, "ZAI_IMAGE_STORE="+t.TempDir(), "ZAI_IMAGE_MAX_CONCURRENT=1"))
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out := &safeBuffer{}
	c.Stdout = out
	require.NoError(t, c.Start())
	_, err = io.WriteString(in, testrig.Initialize+"\n"+testrig.Initialized+"\n")
	require.NoError(t, err)
	for id := range 5 {
		_, err = io.WriteString(in, generate(id, fmt.Sprint("sandbox:delay=1h ", id))+"\n")
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return api.Accepted() == 1 && strings.Count(out.String(), `"queued`) >= 5 }, patience, time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return strings.Count(out.String(), `"kind":"cancelled"`) == 4 }, patience, time.Millisecond)
	api.Close() // ends the delay
	require.NoError(t, c.Wait(), "exit status 0")
	assert.EqualValues(t, 1, api.Posts())
	assert.Equal(t, 4, strings.Count(out.String(), `"kind":"cancelled"`))
	assert.Equal(t, 1, strings.Count(out.String(), `"status":"saved"`))
}

// needsSignals skips where one process cannot ask another to end.
func needsSignals(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED here: Windows can only kill a process")
	}
}
