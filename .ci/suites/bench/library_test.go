package bench

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"zai-image-mcp/internal/testrig"
)

// smallLibrary is the number of images that a large library is compared with.
const smallLibrary = 1000

// largeLibrary returns the number of images in a large library.
func largeLibrary(b *testing.B) int {
	b.Helper()
	text := os.Getenv("ZAI_BENCH_IMAGES")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	require.NoError(b, err, "ZAI_BENCH_IMAGES")
	return n
}

// query is a search.
type query struct {
	name  string // of the sub-benchmark
	words string
	found int // images, of a page of ten
}

func queries() []query {
	return []query{
		{"common", "snow", 10},
		{"rare", "lighthouse", 5},
		{"two-words", "harbor lantern", 5}, // each of them common
		{"absent", "xylophone", 0},
		{"two-letters", "qi", 5},
		{"two-characters", "灯塔", 5},
	}
}

// insert adds saved images, all older than those that the program makes, with the numbers
// from 1 to ?. What few of them contain is in the oldest five. Triggers fill the index of
// prompts.
const insert = `INSERT INTO images (id, call_id, owner, state, created_ms, updated_ms, day, model, prompt, size, quality,
		cost_micro_usd, charged, path, mime_type, width, height, bytes, sha256)
	WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < ?)
	SELECT printf('00%024d', i), '', 'local', 'saved', i, i, '2026-01-01', 'cogview-4-250304',
		'picture ' || i || ' of a fox in the snow' ||
		CASE WHEN i <= 5 THEN ' by a lighthouse, 海边的灯塔, qi, a harbor with a lantern'
			WHEN i % 7 = 0 THEN ' with a harbor' WHEN i % 7 = 1 THEN ' with a lantern' ELSE '' END,
		'1024x1024', 'standard', 10000, 1, '2026/01/01/' || i || '.png', 'image/png', 1024, 1024, 1500000, '00'
	FROM numbers`

// filled returns the folder of a library with n images, of which only the newest has a file.
func filled(b *testing.B, n int) string {
	b.Helper()
	file := picture(b, "JPEG")
	s := start(b, product, options{transport: stdio, api: upstream(b, file, 0)})
	s.generateFirst(b, file)
	s.stop()
	db, err := sql.Open("sqlite", filepath.Join(s.folder, ".catalog.db"))
	require.NoError(b, err)
	defer db.Close()
	_, err = db.Exec(insert, n-1)
	require.NoError(b, err)
	var images, indexed int
	require.NoError(b, db.QueryRow(`SELECT COUNT(*) FROM images`).Scan(&images))
	require.NoError(b, db.QueryRow(`SELECT COUNT(*) FROM prompts WHERE prompts MATCH '"sno"'`).Scan(&indexed))
	require.Equal(b, [2]int{n, n - 1}, [2]int{images, indexed})
	return s.folder
}

// BenchmarkMillion compares a large library, which has a million images with
// ZAI_BENCH_IMAGES=1000000, with a small one: the start of the server, the first page of
// resources/list, get_image, completion/complete and searches by list_images.
func BenchmarkMillion(b *testing.B) {
	folders := map[string]string{"large": filled(b, largeLibrary(b)), "small": filled(b, smallLibrary)}
	b.Run("start", func(b *testing.B) {
		compareLibraries(b, func(library string) float64 {
			took, _ := toolsAfterStart(b, product, folders[library])
			return took
		})
	})
	servers := map[string]*server{}
	ids := map[string]string{}
	for library, folder := range folders {
		// Without previews, which would take longer than what is measured.
		s := start(b, product, options{transport: stdio, api: "http://127.0.0.1:1", folder: folder, env: []string{"ZAI_IMAGE_INLINE=none"}})
		servers[library] = s
		ids[library] = s.list(b, "")[0]
	}
	ask := func(name, want, method string, params func(library string) string) {
		b.Run(name, func(b *testing.B) {
			compareLibraries(b, func(library string) float64 {
				var response []byte
				took := milliseconds(func() { response = servers[library].ask(b, method, params(library)) })
				require.Contains(b, string(response), want)
				return took
			})
		})
	}
	ask("list", `"uri":"zai-image://images/`, "resources/list", func(string) string { return "{}" })
	ask("get", `"structuredContent":`, "tools/call", func(library string) string {
		return fmt.Sprintf(`{"name":"get_image","arguments":{"id":%q}}`, ids[library])
	})
	ask("complete", `"values":["00`, "completion/complete", func(string) string {
		return `{"ref":{"type":"ref/resource","uri":"zai-image://images/{id}"},"argument":{"name":"id","value":"000"}}`
	})
	for _, q := range queries() {
		b.Run("search/"+q.name, func(b *testing.B) {
			compareLibraries(b, func(library string) float64 {
				var found []string
				took := milliseconds(func() { found = servers[library].list(b, q.words) })
				require.Len(b, found, q.found)
				return took
			})
		})
	}
}

// list returns the ids of the images on the first page of list_images.
func (s *server) list(b *testing.B, words string) (ids []string) {
	b.Helper()
	response := s.ask(b, "tools/call", fmt.Sprintf(`{"name":"list_images","arguments":{"query":%q}}`, words))
	result := testrig.ParseMessage(b, response).ToolResult(b)
	require.False(b, result.IsError, string(response))
	for _, i := range result.StructuredContent.Images {
		ids = append(ids, i.ID)
	}
	return ids
}

// compareLibraries compares what measure returns for the large library and for the small
// one, in milliseconds: the medians of each round.
func compareLibraries(b *testing.B, measure func(library string) float64) {
	b.Helper()
	const measurements = 5 // a round
	took := figures{}
	measure("large") // which fills caches
	measure("small")
	rounds(b, func() {
		own := map[string][]float64{}
		for range measurements {
			for _, library := range []string{"large", "small"} {
				own[library] = append(own[library], measure(library))
			}
		}
		for library, list := range own {
			took.add(library, median(list))
		}
	})
	took.reportAs(b, "large", "large", "ms")
}
