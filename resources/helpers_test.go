package resources_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"database/sql"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// tiny returns a small PNG that differs for each n.
func tiny(t testing.TB, n int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 4, 3))
	img.Set(0, 0, color.RGBA{uint8(n), uint8(n >> 8), uint8(n >> 16), 255})
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

// putFile writes a file that is named like a saved image, and returns its id and
// name.
func putFile(t testing.TB, l *resources.Library, folder, words string, file []byte) (id, name string) {
	t.Helper()
	id, err := l.NewID()
	require.NoError(t, err)
	name = "2026/11/20/" + words + "-" + id + ".png"
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "2026/11/20"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), file, 0o600))
	return id, name
}

// later returns a library whose clock is ahead.
func later(t *testing.T, folder string, ahead time.Duration) *resources.Library {
	t.Helper()
	now := func() time.Time { return time.Now().Add(ahead) }
	l := resources.New(resources.Options{Folder: folder, Now: now, Random: randomReader{}, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// Color types of PNG.
const (
	rgb  = 2
	rgba = 6
)

// pngHeader returns the beginning of a PNG with 8 bits per channel.
func pngHeader(width, height uint32, colors byte) []byte {
	size := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	return append([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", append(size, 8, colors, 0, 0, 0))...)
}

func pngChunk(name string, data []byte) []byte {
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	body := append([]byte(name), data...)
	return binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
}

// open returns a library in a folder. The end of the test closes it.
func open(t testing.TB, folder string) *resources.Library {
	t.Helper()
	l := resources.New(resources.Options{Folder: folder, Now: time.Now, Random: randomReader{}, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// reserveOne reserves one image in a call of its own.
func reserveOne(l *resources.Library, i resources.Image, budget int64) (resources.Image, error) {
	reserved, err := l.Reserve(context.Background(), resources.Reservation{Images: []resources.Image{i}, Count: 1, Budget: budget})
	if err != nil {
		return i, err
	}
	return reserved.New[0], nil
}

// reserve reserves an image in state Submitted.
func reserve(t testing.TB, l *resources.Library, prompt string) resources.Image {
	t.Helper()
	i, err := reserveOne(l, resources.Image{
		Owner: "local", State: resources.Submitted, Model: "m", Prompt: prompt, Size: "40x30", Quality: "hd", CostMicroUSD: 10_000,
	}, 0)
	require.NoError(t, err)
	return i
}

// save reserves and saves an image.
func save(t testing.TB, l *resources.Library, prompt string, file []byte) resources.Image {
	t.Helper()
	i, err := l.Save(context.Background(), reserve(t, l, prompt), resources.Content{
		Reader: bytes.NewReader(file), MIMEType: "image/png", Extension: ".png", Width: 40, Height: 30,
	})
	require.NoError(t, err)
	return i
}

// readError is a reader that always fails.
type readError struct{ err error }

func (r readError) Read([]byte) (int, error) { return 0, r.err }

// randomReader is a source of randomness for ids.
type randomReader struct{}

func (randomReader) Read(b []byte) (int, error) { return crand.Read(b) }

// reserveFor reserves an image with the lease of a process.
func reserveFor(t *testing.T, l *resources.Library, process string, until time.Time) resources.Image {
	t.Helper()
	reserved, err := l.Reserve(t.Context(), resources.Reservation{
		Images: []resources.Image{{Owner: "local", State: resources.Submitted, TaskID: "t"}}, Count: 1, Lease: resources.Lease{Process: process, Until: until},
	})
	require.NoError(t, err)
	return reserved.New[0]
}

// photo returns an image that compresses like a photograph: soft shapes with grain.
func photo(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	random := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			fx, fy := float64(x)/float64(width), float64(y)/float64(height)
			grain := random.NormFloat64() * 4
			at := func(phase float64) uint8 {
				v := 128 + 70*math.Sin(6*fx+phase)*math.Cos(5*fy-phase) + 40*math.Sin(31*fx*fy+phase) + grain
				return uint8(max(0, min(255, v)))
			}
			img.SetRGBA(x, y, color.RGBA{at(0), at(1), at(2), 255})
		}
	}
	return img
}

func pngPhoto(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, photo(width, height)))
	return b.Bytes()
}

func jpegPhoto(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, photo(width, height), &jpeg.Options{Quality: 85}))
	return b.Bytes()
}

// saveFile reserves and saves an image file.
func saveFile(t testing.TB, l *resources.Library, mime, extension string, file []byte, width, height int) resources.Image {
	t.Helper()
	i, err := l.Save(t.Context(), reserve(t, l, "x"), resources.Content{
		Reader: bytes.NewReader(file), MIMEType: mime, Extension: extension, Width: width, Height: height,
	})
	require.NoError(t, err)
	return i
}

// testProcess returns a command that runs one test of this test binary in a new
// process.
func testProcess(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.count=1")
	c.Env = append(os.Environ(), env...)
	return c
}

// openSQLite opens a catalog without the library.
func openSQLite(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}
