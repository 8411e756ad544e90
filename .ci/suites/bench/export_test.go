package bench

import (
	"fmt"
	"image"
	_ "image/jpeg" // a format of exports
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "golang.org/x/image/webp" // another
)

// BenchmarkExport compares the CPU that export_image takes to make files of about 1200x630
// pixels from a PNG. No two files have the same size, because the program keeps exports.
func BenchmarkExport(b *testing.B) {
	for _, format := range []string{"webp", "jpeg"} {
		b.Run(format, func(b *testing.B) {
			const exports = 5 // a round
			reference := needsSharp(b)
			file := picture(b, "PNG")
			api := upstream(b, file, 0)
			var servers []*exporter
			for _, p := range []program{product, reference} {
				s := &exporter{server: start(b, p, options{transport: stdio, api: api}), format: format}
				s.id = s.generateFirst(b, file)
				s.export(b, exports)
				servers = append(servers, s)
			}
			cpu := figures{}
			rounds(b, func() {
				for _, s := range servers {
					before := s.cpu(b)
					s.export(b, exports)
					cpu.add(s.name, inMilliseconds(s.cpu(b)-before)/exports)
				}
			})
			cpu.report(b, "cpu", "ms")
		})
	}
}

// exporter is a server that exports an image again and again.
type exporter struct {
	*server
	id     string
	format string // of the files
	files  int    // so far
}

// export makes n files, one after the other, and checks them.
func (e *exporter) export(b *testing.B, n int) {
	b.Helper()
	made := map[string]image.Point{}
	for range n {
		size := image.Pt(1200-e.files%100, 630-e.files/100)
		e.files++
		name := fmt.Sprintf("%d.%s", e.files, e.format)
		response := e.ask(b, "tools/call", fmt.Sprintf(
			`{"name":"export_image","arguments":{"id":%q,"size":"%dx%d","fit":"cover","save_as":%q}}`, e.id, size.X, size.Y, name))
		require.Contains(b, string(response), fmt.Sprintf(`"saved_as":%q`, name))
		made[name] = size
	}
	for name, size := range made {
		file, err := os.Open(filepath.Join(e.project, name))
		require.NoError(b, err, e.name)
		defer file.Close()
		img, format, err := image.Decode(file)
		require.NoError(b, err, "%s: %s", e.name, name)
		require.Equal(b, e.format, format, e.name)
		require.Equal(b, size, img.Bounds().Size(), "%s: %s", e.name, name)
	}
}
