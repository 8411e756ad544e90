package cli_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"zai-image-mcp/internal/cli"
)

//nolint:paralleltest // other tests would use the program meanwhile
func TestUnmapProgram(t *testing.T) {
	before := mappedProgram(t)
	cli.UnmapProgram()
	assert.Less(t, mappedProgram(t), before*3/4)
}

// Pages that differ from the program's file keep their content, as those of a program do
// that its loader relocated.
//
//nolint:paralleltest // as above
func TestUnmapProgram_ChangedPages(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	file, err := os.Open(program)
	require.NoError(t, err)
	defer file.Close()
	pages, err := unix.Mmap(int(file.Fd()), 0, 8*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	require.NoError(t, err)
	defer unix.Munmap(pages)
	at := 3 * os.Getpagesize()
	pages[at]++
	want := pages[at]
	require.NoError(t, unix.Mprotect(pages, unix.PROT_READ))
	cli.UnmapProgram()
	assert.Equal(t, want, pages[at])
}

// mappedProgram returns how much of the program's file is in the memory of the process,
// in KB.
func mappedProgram(t *testing.T) (sum int) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	maps, err := os.Open("/proc/self/smaps")
	require.NoError(t, err)
	defer maps.Close()
	own := false
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if !strings.HasSuffix(fields[0], ":") {
			own = fields[len(fields)-1] == program && strings.HasPrefix(fields[1], "r-")
		}
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "Rss: %d kB", &n); err == nil && own {
			sum += n
		}
	}
	return sum
}
