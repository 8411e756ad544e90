package bench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image/jpeg"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// side is that of the pictures in pixels.
const side = 1024

// picture returns a picture as the API serves it.
func picture(b *testing.B, format string) []byte {
	b.Helper()
	if format == "JPEG" {
		return testrig.JPEGPhoto(b, side, side)
	}
	return testrig.PNGPhoto(b, side, side)
}

// upstream serves the API, which answers after a delay, and returns its URL. It is in place
// of the sandbox, which draws each picture.
func upstream(b *testing.B, file []byte, delay time.Duration) string {
	b.Helper()
	const base = "/api/paas/v4"
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	b.Cleanup(s.Close)
	mux.HandleFunc("POST "+base+"/images/generations", func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			fmt.Fprintf(w, `{"created":1,"data":[{"url":"%s/picture"}]}`, s.URL)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("GET /picture", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(file)))
		w.Header().Set("Content-Type", http.DetectContentType(file))
		_, _ = w.Write(file)
	})
	return s.URL + base
}

// generate generates a picture, and checks that the server says that it saved all bytes. It
// reports whether the response contains a preview: the program leaves it out of a response
// that would wait for more than five seconds for it.
func (s *server) generate(file []byte) (hasPreview bool, err error) {
	params := fmt.Sprintf(`{"name":"generate_image","arguments":{"prompt":"a fox in the snow %d"}}`, s.prompts.Add(1))
	want := [][]byte{[]byte(`"status":"saved"`), fmt.Appendf(nil, `"bytes":%d`, len(file)), []byte(`"type":"resource_link"`)}
	err = s.request("tools/call", params, func(response []byte) error {
		for _, text := range want {
			if !bytes.Contains(response, text) {
				return fmt.Errorf("%s: no %s in %.2000s", s.name, text, response)
			}
		}
		hasPreview = bytes.Contains(response, []byte(`"mimeType":"image/jpeg"`)) && bytes.Contains(response, []byte(`"type":"image"`))
		return nil
	})
	return hasPreview, err
}

// generateFirst generates a picture, checks the response in full, and returns the id.
func (s *server) generateFirst(b *testing.B, file []byte) (id string) {
	b.Helper()
	var result testrig.ToolResult
	err := s.request("tools/call", `{"name":"generate_image","arguments":{"prompt":"a fox"}}`, func(response []byte) error {
		result = testrig.ParseMessage(b, response).ToolResult(b)
		return nil
	})
	require.NoError(b, err, s.name)
	require.False(b, result.IsError, "%s: %v", s.name, result.Content)
	require.Len(b, result.StructuredContent.Images, 1, s.name)
	require.EqualValues(b, len(file), result.StructuredContent.Images[0].Bytes, s.name)
	previews := 0
	for _, c := range result.Content {
		if c.Type != "image" {
			continue
		}
		preview, err := base64.StdEncoding.DecodeString(c.Data)
		require.NoError(b, err, s.name)
		img, err := jpeg.DecodeConfig(bytes.NewReader(preview))
		require.NoError(b, err, s.name)
		require.Equal(b, [2]int{side / 2, side / 2}, [2]int{img.Width, img.Height}, s.name)
		previews++
	}
	require.Equal(b, 1, previews, s.name)
	s.prompts.Add(1)
	return result.StructuredContent.Images[0].ID
}

// requireSaved checks that the folder has a complete file for each call.
func (s *server) requireSaved(b *testing.B, file []byte) {
	b.Helper()
	complete := int64(0)
	require.NoError(b, filepath.WalkDir(s.folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() == int64(len(file)) {
			complete++
		}
		return err
	}))
	require.Equal(b, s.prompts.Load(), complete, s.name)
}
