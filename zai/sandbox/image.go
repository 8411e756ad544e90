package sandbox

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image/jpeg"
	"image/png"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// generation is an accepted request. Its image is drawn each time it is
// requested.
type generation struct {
	request
	fault   fault
	id      string
	model   string
	seed    uint64
	sum     [32]byte
	created time.Time
	delay   time.Duration
	jpeg    bool
	gets    atomic.Int64
}

// link returns the link to the image. Like links of the service, its path ends
// in .png for any type of file, and a parameter has a file name.
func (g *generation) link(r *http.Request) string {
	return fmt.Sprintf("http://%s/files/%s.png?ufileattname=%s_watermark.png", r.Host, g.id, g.id)
}

// contentFilter returns the content_filter field of the response, or "".
func (g *generation) contentFilter() string {
	if g.fault.name == "filtered" {
		return `,"content_filter":[{"role":"assistant","level":3}]`
	}
	return ""
}

func (g *generation) base64() string { return base64.StdEncoding.EncodeToString(g.file()) }

// file draws and encodes the image. The file is not kept, because files would
// fill the memory in a long session, and drawing the image again gives the same
// bytes.
func (g *generation) file() []byte {
	width, height := g.pixels()
	img := draw(width, height, g.Prompt, g.seed, g.fault.name == "huge")
	var b bytes.Buffer
	if g.jpeg {
		_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}) // writing to a buffer does not fail
	} else {
		encoder := png.Encoder{CompressionLevel: png.BestSpeed}
		_ = encoder.Encode(&b, img)
	}
	return b.Bytes()
}

// file handles GET of an image link.
func (s *Sandbox) file(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	g := s.images[strings.TrimSuffix(r.PathValue("name"), ".png")]
	s.mu.Unlock()
	if r.Header.Get("Authorization") != "" {
		respond(w, http.StatusForbidden, `{"RetCode":-148653,"ErrMsg":"signature error"}`)
		return
	}
	get := int64(0)
	if g != nil {
		get = g.gets.Add(1)
	}
	switch {
	case g == nil, g.fault.name == "download", g.fault.name == "late" && get <= 2:
		respond(w, http.StatusNotFound, `{"RetCode":-148654, "ErrMsg":"file not exist"}`)
		return
	case g.fault.name == "page":
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><body>one moment please</body></html>")
		return
	}
	file := g.file()
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s_watermark.png"`, g.id))
	if g.fault.name == "cut" {
		w.Header().Set("Transfer-Encoding", "identity") // the end of the connection is the end of the file
		_, _ = w.Write(file[:len(file)/2])
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(file))) //nolint:gosec // never set together with Transfer-Encoding, as that case has returned
	if g.fault.name == "truncated" && get == 1 {
		_, _ = w.Write(file[:len(file)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(file)
}
