package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/cli"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil { // tests read files of the repository
		panic(err)
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		_ = os.Unsetenv(name) // net/http reads them once, from the environment of the process
	}
	testrig.Main(m)
}

// newProcess returns a process with its own environment. env has entries of the
// form NAME=value; the last one for a name applies. With --sandbox the process
// uses a sandbox without delays.
func newProcess(t testing.TB, home string, env []string) cli.Process {
	t.Helper()
	variable := func(name string) string {
		for _, entry := range slices.Backward(env) {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value
			}
		}
		return ""
	}
	pictures := variable("XDG_PICTURES_DIR")
	if pictures == "" {
		pictures = filepath.Join(home, "Pictures")
	}
	return cli.Process{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Env: variable,
		Home: home, Pictures: pictures, Executable: filepath.Join(home, "bin", "zai-image-mcp"),
		NewClient: func(key string, options ...zai.Option) (*zai.Client, error) {
			if key == "sandbox" {
				options = append(options, zai.WithBaseURL(startAPI(t, sandbox.Options{})))
			}
			return zai.NewClient(key, options...)
		},
	}
}

// startAPI starts a sandbox without delays and returns its base URL.
func startAPI(t testing.TB, options sandbox.Options) string {
	t.Helper()
	return testrig.API(t, func(o *testrig.APIOptions) { o.Sandbox = options }).BaseURL()
}

// execute runs the program until it exits.
func execute(t testing.TB, p cli.Process, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs bytes.Buffer
	p.Stdout, p.Stderr = &out, &errs
	exit = cli.Run(t.Context(), p, args)
	return out.String(), errs.String(), exit
}

// run runs the program with an empty home folder until it exits.
func run(t testing.TB, env []string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	return execute(t, newProcess(t, t.TempDir(), env), args...)
}

// ask runs the server over stdio with requests as its input, and returns its
// output.
func ask(t testing.TB, env []string, requests ...string) string {
	t.Helper()
	p := newProcess(t, t.TempDir(), env)
	p.Stdin = strings.NewReader(strings.Join(requests, "\n") + "\n")
	out, errs, exit := execute(t, p)
	require.Zero(t, exit, errs)
	return out
}

// start starts the program and returns its log, which the caller must read. stop
// stops the program as SIGTERM does, and returns its exit status.
func start(t testing.TB, p cli.Process, args ...string) (log io.Reader, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	p.Stderr = write
	exit := make(chan int, 1)
	go func() {
		exit <- cli.Run(ctx, p, args)
		_ = write.Close()
	}()
	stopped := false
	stop = func() int {
		stopped = true
		cancel()
		go io.Copy(io.Discard, read)
		return <-exit
	}
	t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	return read, stop
}

// isEmpty asserts that a folder is empty.
func isEmpty(t testing.TB, folder, message string) {
	t.Helper()
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, files, message)
}

// savedIn returns the paths of the images in the folder of a library.
func savedIn(t testing.TB, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "*", "*", "*.png"))
	require.NoError(t, err)
	return files
}
