package cli_test

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSandbox_ServesOtherPrograms(t *testing.T) {
	t.Parallel()
	p := newProcess(t, t.TempDir(), nil)
	out, write := io.Pipe()
	p.Stdout = write
	log, stop := start(t, p, "sandbox", "--listen", "127.0.0.1:0", "--key", "k")
	go io.Copy(io.Discard, log)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, base, found := strings.Cut(line, " at ")
	require.True(t, found, line)
	_, errs, exit := run(t, []string{"ZAI_API_KEY=k", "ZAI_BASE_URL=" + strings.TrimSpace(base)}, "generate", "--size", "512x512", "a fox")
	assert.Zero(t, exit, errs)
	require.Zero(t, stop(), "exit status")
}
