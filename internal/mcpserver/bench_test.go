package mcpserver_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// photo returns an image that compresses like a photograph: soft shapes with
// grain, about 1.5 MB as PNG.
func photo(b *testing.B) image.Image {
	b.Helper()
	const side = 1024
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	random := rand.New(rand.NewPCG(1, 2))
	for y := range side {
		for x := range side {
			fx, fy := float64(x)/side, float64(y)/side
			grain := random.NormFloat64() * 4
			at := func(phase float64) uint8 {
				return uint8(max(0, min(255, 128+70*math.Sin(6*fx+phase)*math.Cos(5*fy-phase)+40*math.Sin(31*fx*fy+phase)+grain)))
			}
			img.SetRGBA(x, y, color.RGBA{at(0), at(1), at(2), 255})
		}
	}
	return img
}

func encoded(b *testing.B, format string) []byte {
	b.Helper()
	var file bytes.Buffer
	if format == "JPEG" {
		require.NoError(b, jpeg.Encode(&file, photo(b), &jpeg.Options{Quality: 85}))
	} else {
		require.NoError(b, png.Encode(&file, photo(b)))
	}
	return file.Bytes()
}

// upstream serves the API with negligible overhead.
func upstream(b *testing.B, file []byte) string { return slowUpstream(b, file, 0) }

func slowUpstream(b *testing.B, file []byte, delay time.Duration) string {
	b.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	b.Cleanup(s.Close)
	mux.HandleFunc("POST /api/paas/v4/images/generations", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(delay)
		fmt.Fprintf(w, `{"created":1,"data":[{"url":"%s/a.png"}]}`, s.URL)
	})
	mux.HandleFunc("GET /a.png", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(file)))
		_, _ = w.Write(file)
	})
	return s.URL + "/api/paas/v4"
}

// build builds a binary as it is released.
func build(b *testing.B, pkg string) string {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "binary")
	out, err := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, pkg).CombinedOutput()
	require.NoError(b, err, string(out))
	return binary
}

// process is a server on pipes.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	id  int
}

func launch(b *testing.B, binary, folder, baseURL string, args ...string) *process {
	b.Helper()
	p := &process{cmd: exec.CommandContext(b.Context(), binary, args...)}
	p.cmd.Env = []string{
		"HOME=" + folder, "ZAI_IMAGE_STORE=" + folder, "ZAI_API_KEY=k", "ZAI_BASE_URL=" + baseURL,
		"ZAI_IMAGE_DAILY_BUDGET=0", "ZAI_IMAGE_MAX_CONCURRENT=64", "ZAI_IMAGE_LOG_LEVEL=error",
	}
	var err error
	p.in, err = p.cmd.StdinPipe()
	require.NoError(b, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(b, err)
	p.out = bufio.NewReaderSize(out, 1<<20)
	require.NoError(b, p.cmd.Start())
	p.send(b, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}`)
	p.answer(b)
	return p
}

func (p *process) send(b *testing.B, method, params string) {
	p.id++
	_, err := fmt.Fprintf(p.in, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`+"\n", p.id, method, params)
	require.NoError(b, err)
}

// answer skips notifications.
func (p *process) answer(b *testing.B) []byte {
	for {
		line, err := p.out.ReadBytes('\n')
		require.NoError(b, err)
		if !bytes.Contains(line[:min(len(line), 60)], []byte(`"method"`)) {
			require.NotContains(b, string(line[:min(len(line), 200)]), `"error"`)
			return line
		}
	}
}

func (p *process) generate(b *testing.B) {
	// Equal concurrent calls would be joined.
	p.send(b, "tools/call", fmt.Sprintf(`{"name":"generate_image","arguments":{"prompt":"a fox in the snow %d"}}`, p.id))
}

func (p *process) stop(b *testing.B) {
	require.NoError(b, p.in.Close())
	_, _ = io.Copy(io.Discard, p.out)
	require.NoError(b, p.cmd.Wait())
}

func (p *process) memory(b *testing.B, name string) float64 {
	return float64(memory(b, p.cmd.Process.Pid, name)) / (1 << 20)
}

// filled returns a folder with n rows in its catalog.
func filled(b *testing.B, binary, baseURL string, n int) string {
	b.Helper()
	folder := b.TempDir()
	p := launch(b, binary, folder, baseURL)
	p.generate(b)
	p.answer(b)
	p.stop(b)
	db, err := sql.Open("sqlite", filepath.Join(folder, ".catalog.db"))
	require.NoError(b, err)
	defer db.Close()
	_, err = db.Exec(`INSERT INTO images (id, call_id, owner, state, created_ms, updated_ms, day, model, prompt, size, quality, cost_micro_usd, charged)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		SELECT printf('00%024d', i), '', 'local', 'saved', i, i, '2026-01-01', 'm', 'image number ' || i, '1024x1024', 'hd', 10000, 1 FROM n`, n)
	require.NoError(b, err)
	return folder
}

// BenchmarkColdStart measures the time from the start of the process to the
// first response to tools/list.
func BenchmarkColdStart(b *testing.B) {
	product, minimal := build(b, "zai-image-mcp"), build(b, "./testdata/minimal")
	api := upstream(b, encoded(b, "PNG"))
	many := filled(b, product, api, 100_000)
	for _, tt := range []struct{ name, binary, folder string }{
		{"minimal", minimal, b.TempDir()}, {"empty", product, b.TempDir()}, {"100000", product, many},
	} {
		b.Run(tt.name, func(b *testing.B) {
			for b.Loop() {
				p := launch(b, tt.binary, tt.folder, api)
				p.send(b, "tools/list", "{}")
				p.answer(b)
				b.StopTimer()
				p.stop(b)
				b.StartTimer()
			}
		})
	}
}

func BenchmarkIdleMemory(b *testing.B) {
	product := build(b, "zai-image-mcp")
	for b.Loop() {
		p := launch(b, product, b.TempDir(), "http://127.0.0.1:1/api")
		p.send(b, "tools/list", "{}")
		p.answer(b)
		p.send(b, "resources/list", "{}")
		p.answer(b)
		time.Sleep(time.Second)
		b.ReportMetric(p.memory(b, "VmRSS"), "MB")
		p.stop(b)
	}
}

// BenchmarkCall measures one call to an API without delay, compared with the
// POST and GET that it needs.
func BenchmarkCall(b *testing.B) {
	product := build(b, "zai-image-mcp")
	for _, format := range []string{"PNG", "JPEG"} {
		api := upstream(b, encoded(b, format))
		b.Run(format+"/bare", func(b *testing.B) {
			for b.Loop() {
				bare(b, api)
			}
		})
		b.Run(format+"/stdio", func(b *testing.B) {
			p := launch(b, product, b.TempDir(), api)
			for b.Loop() {
				p.generate(b)
				p.answer(b)
			}
			b.StopTimer()
			p.stop(b)
			b.ReportMetric(float64(p.cmd.ProcessState.UserTime()+p.cmd.ProcessState.SystemTime())/1e6/float64(b.N), "cpu-ms/op")
		})
	}
}

func bare(b *testing.B, api string) {
	answer, err := http.Post(api+"/images/generations", "application/json", strings.NewReader(`{}`))
	require.NoError(b, err)
	var decoded struct{ Data []struct{ URL string } }
	require.NoError(b, json.NewDecoder(answer.Body).Decode(&decoded))
	answer.Body.Close()
	image, err := http.Get(decoded.Data[0].URL)
	require.NoError(b, err)
	_, err = io.Copy(io.Discard, image.Body)
	require.NoError(b, err)
	image.Body.Close()
}

// Benchmark64Callers measures the peak memory of 64 concurrent calls.
func Benchmark64Callers(b *testing.B) {
	product := build(b, "zai-image-mcp")
	api := upstream(b, encoded(b, "PNG"))
	p := launch(b, product, b.TempDir(), api)
	const callers, rounds = 64, 4
	for b.Loop() {
		for range rounds {
			var sent sync.WaitGroup
			sent.Go(func() {
				for range callers {
					p.generate(b)
				}
			})
			for range callers {
				p.answer(b)
			}
			sent.Wait()
		}
	}
	b.ReportMetric(p.memory(b, "VmHWM"), "peak-MB")
	b.ReportMetric(float64(callers*rounds*b.N)/b.Elapsed().Seconds(), "calls/s")
	p.stop(b)
}
