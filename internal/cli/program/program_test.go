// Package program_test runs the built program, to test what needs a process:
// streams, signals, terminals and the environment. Package cli_test tests the
// rest in process.
package program_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/zai/sandbox"
)

func TestMain(m *testing.M) {
	// Under nohup, children would inherit that SIGHUP is ignored. If this process
	// handles the signal, children start with its default action.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	status := m.Run()
	testrig.RemoveProgram()
	os.Exit(status)
}

// command returns a command that runs the program with a home folder and the
// variables in env. Of the test's environment it gets only PATH.
func command(t testing.TB, home string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	return testrig.Command(t, append([]string{"HOME=" + home, "USERPROFILE=" + home}, env...), args...)
}

// run runs the program with an empty home folder and waits for it to exit.
func run(t *testing.T, env []string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	c := command(t, t.TempDir(), env, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// buildWith builds the program with an additional file in package main, and
// returns its path. The file is in testdata, with the suffix .txt.
func buildWith(t *testing.T, file string) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	added, err := filepath.Abs(filepath.Join("testdata", file+".txt"))
	require.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, file): added}})
	require.NoError(t, err)
	dir := t.TempDir()
	list, path := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "program.exe")
	require.NoError(t, os.WriteFile(list, overlay, 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", list, "-ldflags=-s -w", "-o", path, "zai-image-mcp").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// stdout carries only protocol messages, even if a library prints to it.
func TestStreams_StrayPrintGoesToStderr(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "print")
	c := command(t, t.TempDir(), []string{"ZAI_TEST_PRINT=" + file}, "--sandbox")
	c.Path = buildWith(t, "stray_print.go")
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	errs, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = io.WriteString(in, testrig.Ping+"\n")
	require.NoError(t, err)
	messages := bufio.NewReader(out)
	line, err := messages.ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, `"id":1`)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	log := bufio.NewReader(errs)
	for line = ""; !strings.Contains(line, "stray print"); {
		line, err = log.ReadString('\n')
		require.NoError(t, err)
	}
	require.NoError(t, in.Close())
	rest, err := io.ReadAll(messages)
	require.NoError(t, err)
	assert.Empty(t, rest)
	_, err = io.Copy(io.Discard, log)
	require.NoError(t, err)
	require.NoError(t, c.Wait())
}

// The program uses the environment and the streams of the process, and exits with
// the status of its command.
func TestProgram_ExitStatus(t *testing.T) {
	t.Parallel()
	out, errs, exit := run(t, nil, "version")
	assert.Zero(t, exit, errs)
	assert.NotEmpty(t, out)
	out, errs, exit = run(t, nil, "images", "show", "x")
	assert.Equal(t, 1, exit)
	assert.Empty(t, out)
	assert.Contains(t, errs, "no such image")
	_, errs, exit = run(t, []string{"ZAI_IMAGE_REGION=mars"})
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "region")
	out, _, exit = run(t, nil, "doctor")
	assert.Equal(t, 3, exit)
	assert.Contains(t, out, "PROBLEM  key")
}

// Behind a mandatory proxy, images would be paid for but could not be
// downloaded.
func TestProxy_WarnsBeforePayment(t *testing.T) {
	t.Parallel()
	proxy := testrig.API(t).Server // responds to requests for any host
	address := strings.Replace(proxy.URL, "http://", "http://user:password@", 1)
	env := []string{"ZAI_API_KEY=k", "ZAI_BASE_URL=http://api.invalid" + sandbox.BasePath, "ZAI_IMAGE_STORE=" + t.TempDir(), "HTTP_PROXY=" + address}
	const want = "images are downloaded without one"
	_, served, exit := run(t, env)
	require.Zero(t, exit)
	checked, _, exit := run(t, env, "doctor")
	assert.Zero(t, exit, "a warning is not a failure: %s", checked)
	_, generated, _ := run(t, env, "generate", "--size", "1x1", "a fox")
	for command, printed := range map[string]string{"serve": served, "doctor": checked, "generate": generated} {
		assert.Contains(t, printed, want, command)
		assert.Contains(t, printed, proxy.URL, command)
		assert.NotContains(t, printed, "password", command)
	}
	for _, withoutProxy := range [][]string{{"NO_PROXY=api.invalid"}, {"ZAI_IMAGE_SANDBOX=1"}, {"HTTP_PROXY="}} {
		out, errs, exit := run(t, append(env, withoutProxy...))
		require.Zero(t, exit)
		assert.NotContains(t, out+errs, want, withoutProxy)
	}
}
