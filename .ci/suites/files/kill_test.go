package files

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The program is killed again and again while it writes files. Every file with a final name
// is complete; only hidden temporary files are not.
func TestKill_NoPartialFile(t *testing.T) {
	t.Parallel()
	const kills = 25
	s := newService(t, nil)
	h := connect(t, s)
	r := h.call(t, "generate_image", arguments{"prompt": "sandbox:huge a kite", "size": "512x512"})
	id := r.Images[0].ID
	complete := map[string]bool{}
	calls := []arguments{
		{"id": id, "save_as": "assets/kite.png"}, {"id": id, "save_as": "assets/kite.webp"}, {"id": id, "save_as": "kite.jpg", "size": "200x200", "replace": true},
	}
	for _, a := range calls {
		complete[h.call(t, "export_image", a).Images[0].SHA256] = true
	}
	for range kills {
		again := &host{project: h.project, store: h.store}
		c := again.start(t, s, "--project", h.project)
		var all sync.WaitGroup
		for _, a := range calls {
			all.Go(func() {
				for {
					if _, err := again.CallTool(t.Context(), &sdk.CallToolParams{Name: "export_image", Arguments: a}); err != nil {
						return
					}
				}
			})
		}
		time.Sleep(20*time.Millisecond + rand.N(100*time.Millisecond))
		require.NoError(t, c.Process.Kill())
		all.Wait()
	}
	final, hidden := 0, 0
	require.NoError(t, filepath.WalkDir(h.project, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") {
			hidden++
			return nil
		}
		final++
		file, err := os.ReadFile(path)
		assert.True(t, complete[hash(file)], "%s, %d bytes, is not complete", path, len(file))
		return err
	}))
	assert.Greater(t, final, kills)
	assert.LessOrEqual(t, hidden, kills*len(calls))
	t.Logf("%d kills: %d files, all complete, and %d hidden temporary files", kills, final, hidden)
}
