package cli_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/cli"
)

//nolint:paralleltest // other tests would use the program meanwhile
func TestUnmapProgram(t *testing.T) {
	before := mappedProgram(t)
	cli.UnmapProgram()
	assert.Less(t, mappedProgram(t), before*3/4)
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
