package zai_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

func pngOf(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewRGBA(image.Rect(0, 0, width, height))))
	return b.Bytes()
}

func jpegOf(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, image.NewRGBA(image.Rect(0, 0, width, height)), nil))
	return b.Bytes()
}

func gifOf(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, gif.Encode(&b, image.NewRGBA(image.Rect(0, 0, width, height)), nil))
	return b.Bytes()
}

// webpOf returns a lossless WebP of one colour. The tests read only its header.
func webpOf(width, height uint32) []byte {
	chunk := []byte{0x2f}
	chunk = binary.LittleEndian.AppendUint32(chunk, (width-1)|(height-1)<<14)
	chunk = append(chunk, 0x88, 0x88, 0x08)
	b := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(12+len(chunk)))...)
	b = append(b, "WEBPVP8L"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(chunk)))
	return append(b, chunk...)
}

// bombOf returns a small PNG with the header of a huge image.
func bombOf(width, height uint32) []byte {
	var b bytes.Buffer
	b.WriteString("\x89PNG\r\n\x1a\n")
	chunk := func(name string, data []byte) {
		_ = binary.Write(&b, binary.BigEndian, uint32(len(data)))
		body := append([]byte(name), data...)
		b.Write(body)
		_ = binary.Write(&b, binary.BigEndian, crc32.ChecksumIEEE(body))
	}
	head := binary.BigEndian.AppendUint32(nil, width)
	head = binary.BigEndian.AppendUint32(head, height)
	chunk("IHDR", append(head, 8, 0, 0, 0, 0))
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(make([]byte, 1<<20))
	_ = w.Close()
	chunk("IDAT", z.Bytes())
	chunk("IEND", nil)
	return b.Bytes()
}

func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func bytesHandler(contentType string, b []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(b)
	})
}

// The format is detected from the first bytes of the file, not from the
// declared type or the name.
func TestDownload_FormatFromBytes(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		file         []byte
		mime, ext    string
	}{
		{"png", "image/png", pngOf(t, 40, 30), "image/png", ".png"},
		{"jpeg served as png", "image/png", jpegOf(t, 40, 30), "image/jpeg", ".jpg"},
		{"jpeg served as octet-stream", "application/octet-stream", jpegOf(t, 40, 30), "image/jpeg", ".jpg"},
		{"gif", "image/gif", gifOf(t, 40, 30), "image/gif", ".gif"},
		{"webp", "text/html", webpOf(40, 30), "image/webp", ".webp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got *http.Request
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r
				bytesHandler(tt.header, tt.file).ServeHTTP(w, r)
			}))
			img, err := newClient(t, s.URL).Download(t.Context(), zai.ImageData{URL: s.URL + "/x.png"})
			require.NoError(t, err)
			defer img.Close()
			all, err := io.ReadAll(img)
			require.NoError(t, err)
			assert.Equal(t, tt.file, all, "the bytes of the header are included")
			assert.Equal(t, tt.mime, img.MIMEType)
			assert.Equal(t, tt.ext, img.Extension)
			assert.Equal(t, [2]int{40, 30}, [2]int{img.Width, img.Height})
			assert.Empty(t, got.Header.Get("Authorization"), "the key is not sent to image hosts")
		})
	}
}

func TestDownload_Inline(t *testing.T) {
	c := newClient(t, "http://127.0.0.1:1")
	file := pngOf(t, 20, 10)
	img, err := c.Download(t.Context(), zai.ImageData{B64JSON: base64.StdEncoding.EncodeToString(file)})
	require.NoError(t, err)
	all, err := io.ReadAll(img)
	require.NoError(t, err)
	assert.Equal(t, file, all)
	_, err = c.Download(t.Context(), zai.ImageData{B64JSON: "!!!"})
	require.ErrorIs(t, err, zai.KindDownload)
}

// Links work only some seconds after the response that contains them.
func TestDownload_RetriesUntilImageExists(t *testing.T) {
	responses := map[string]func(w http.ResponseWriter){
		"404": func(w http.ResponseWriter) {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, `{"RetCode":-148654, "ErrMsg":"file not exist"}`)
		},
		"page": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>wait</html>") },
		"503":  func(w http.ResponseWriter) { w.WriteHeader(503) },
	}
	for name, respond := range responses {
		for _, after := range []int{0, 1, 3, 4} {
			t.Run(fmt.Sprintf("%s %d times", name, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := 0
					c := newClient(t, "http://api.test", zai.WithHTTPClient(serveInMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						if n++; n <= after {
							respond(w)
							return
						}
						_, _ = w.Write(pngOf(t, 20, 10))
					}))))
					start := time.Now()
					img, err := c.Download(t.Context(), zai.ImageData{URL: "http://api.test/a.png"})
					waited := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 7 * time.Second}[after]
					assert.Equal(t, waited, time.Since(start), "1, 2 and 4 seconds")
					if after == 4 {
						require.ErrorIs(t, err, zai.KindDownload)
						return
					}
					require.NoError(t, err)
					require.NoError(t, img.Close())
				})
			})
		}
	}
	t.Run("403 not retried", func(t *testing.T) {
		h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) })}
		s := serve(t, h)
		_, err := newClient(t, s.URL).Download(t.Context(), zai.ImageData{URL: s.URL})
		require.ErrorIs(t, err, zai.KindDownload)
		assert.EqualValues(t, 1, h.n.Load())
	})
	t.Run("context cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			cancel()
			w.WriteHeader(404)
		}))
		_, err := newClient(t, s.URL).Download(ctx, zai.ImageData{URL: s.URL})
		require.ErrorIs(t, err, zai.KindDownload)
	})
}

func TestDownload_Limits(t *testing.T) {
	t.Run("Content-Length", func(t *testing.T) {
		file := append(pngOf(t, 9, 9), make([]byte, 5000)...)
		h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(file)))
			_, _ = w.Write(file)
		})}
		s := serve(t, h)
		c := newClient(t, s.URL, zai.WithDownloadLimits(4000, time.Minute, time.Minute, 0))
		_, err := c.Download(t.Context(), zai.ImageData{URL: s.URL})
		require.ErrorIs(t, err, zai.KindDownload)
		require.ErrorContains(t, err, "larger than")
		assert.EqualValues(t, 1, h.n.Load())
	})
	t.Run("endless body", func(t *testing.T) {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(pngOf(t, 9, 9))
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		}))
		c := newClient(t, s.URL, zai.WithDownloadLimits(1<<20, time.Minute, time.Minute, 0))
		img, err := c.Download(t.Context(), zai.ImageData{URL: s.URL})
		require.NoError(t, err)
		defer img.Close()
		n, err := io.Copy(io.Discard, img)
		require.ErrorContains(t, err, "larger than")
		assert.LessOrEqual(t, n, int64(1<<20+64<<10))
	})
	for name, pause := range map[string]time.Duration{"few bytes": time.Second, "no bytes": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, "http://api.test", zai.WithHTTPClient(serveInMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = w.Write(pngOf(t, 9, 9))
					for {
						_ = http.NewResponseController(w).Flush()
						select {
						case <-time.After(pause):
							_, _ = w.Write([]byte("x"))
						case <-r.Context().Done():
							return
						}
					}
				}))))
				start := time.Now()
				img, err := c.Download(t.Context(), zai.ImageData{URL: "http://api.test/a.png"})
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, img)
				require.ErrorContains(t, err, "too slow")
				assert.Equal(t, 10*time.Second, time.Since(start))
				require.NoError(t, img.Close())
			})
		})
	}
	t.Run("total time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, "http://api.test", zai.WithHTTPClient(serveInMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write(pngOf(t, 9, 9))
				for r.Context().Err() == nil {
					_, _ = w.Write(make([]byte, 20<<10))
					select {
					case <-time.After(time.Second):
					case <-r.Context().Done():
					}
				}
			}))))
			start := time.Now()
			img, err := c.Download(t.Context(), zai.ImageData{URL: "http://api.test/a.png"})
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, img)
			require.Error(t, err)
			assert.Equal(t, 2*time.Minute, time.Since(start))
			require.NoError(t, img.Close())
		})
	})
	t.Run("defaults", func(t *testing.T) {
		size, total := zai.MaxDownload()
		assert.EqualValues(t, 32<<20, size)
		assert.Equal(t, 2*time.Minute, total)
		assert.False(t, newClient(t, "http://api.test").UsesProxy())
		_, err := newClient(t, "http://api.test").Download(t.Context(), zai.ImageData{B64JSON: strings.Repeat("A", 48<<20)})
		require.ErrorContains(t, err, "too large")
	})
	t.Run("Accept-Encoding", func(t *testing.T) {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
			_, _ = w.Write(pngOf(t, 9, 9))
		}))
		img, err := newClient(t, s.URL).Download(t.Context(), zai.ImageData{URL: s.URL})
		require.NoError(t, err)
		require.NoError(t, img.Close())
	})
	t.Run("long side", func(t *testing.T) {
		_, err := zai.OpenImage(bytes.NewReader(bombOf(1<<24, 1)))
		require.ErrorContains(t, err, "too large")
	})
	t.Run("many pixels in a small file", func(t *testing.T) {
		bomb := bombOf(30000, 30000)
		assert.Less(t, len(bomb), 100<<10)
		s := serve(t, bytesHandler("image/png", bomb))
		_, err := newClient(t, s.URL).Download(t.Context(), zai.ImageData{URL: s.URL})
		require.ErrorIs(t, err, zai.KindDownload)
		require.ErrorContains(t, err, "30000x30000")
	})
	t.Run("cut off", func(t *testing.T) {
		file := jpegOf(t, 500, 500)
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(file)))
			_, _ = w.Write(file[:len(file)-10])
		}))
		img, err := newClient(t, s.URL).Download(t.Context(), zai.ImageData{URL: s.URL})
		require.NoError(t, err)
		defer img.Close()
		_, err = io.Copy(io.Discard, img)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}

func TestOpenImage_NotAnImage(t *testing.T) {
	for name, file := range map[string]string{
		"svg": `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, "html": "<!doctype html><script>",
		"pdf": "%PDF-1.7\n", "zip": "PK\x03\x04", "js": "GIF=1;alert(1)", "empty": "", "riff": "RIFF\x00\x00\x00\x00WAVE", "bmp": "BM",
		"short png": "\x89PNG\r\n\x1a\n",
	} {
		_, err := zai.OpenImage(bytes.NewReader([]byte(file)))
		require.Error(t, err, name)
	}
}

func FuzzOpenImage(f *testing.F) {
	for _, file := range [][]byte{pngOf(f, 7, 5), jpegOf(f, 7, 5), gifOf(f, 7, 5), webpOf(7, 5), bombOf(30000, 30000), []byte("<svg/>")} {
		f.Add(file)
		f.Add(file[:len(file)/2])
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		img, err := zai.OpenImage(bytes.NewReader(file))
		if err != nil {
			return
		}
		if img.Width <= 0 || img.Height <= 0 || img.Width*img.Height > zai.MaxPixels {
			t.Fatalf("%dx%d pixels", img.Width, img.Height)
		}
		all, err := io.ReadAll(img)
		if err != nil && !errors.Is(err, zai.KindDownload) || !bytes.Equal(all, file) {
			t.Fatal("bytes were lost")
		}
	})
}
