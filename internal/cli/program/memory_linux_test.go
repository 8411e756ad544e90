package program_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// A server that waits gives back most of what its start mapped of the program's file.
func TestServe_ReleasesMemory(t *testing.T) {
	t.Parallel()
	c := command(t, t.TempDir(), nil, "--sandbox")
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = io.WriteString(in, testrig.Ping+"\n")
	require.NoError(t, err)
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	most := mapped(t, c.Process.Pid)
	require.Eventually(t, func() bool {
		now := mapped(t, c.Process.Pid)
		most = max(most, now)
		return now < most/2
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, in.Close())
	require.NoError(t, c.Wait())
}

// mapped returns how much memory of a process is that of files, in KB.
func mapped(t *testing.T, process int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	require.NoError(t, err)
	found := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, found)
	kb, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return kb
}
