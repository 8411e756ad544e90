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

// image is one answered request. It is drawn when it is first fetched.
type picture struct {
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

// link is the image's address, which says PNG whatever the file is and sets
// a download name, as the real one does.
func (p *picture) link(r *http.Request) string {
	return fmt.Sprintf("http://%s/files/%s.png?ufileattname=%s_watermark.png", r.Host, p.id, p.id)
}

// remark is the answer's optional content_filter.
func (p *picture) remark() string {
	if p.fault.name == "filtered" {
		return `,"content_filter":[{"role":"assistant","level":3}]`
	}
	return ""
}

func (p *picture) base64() string { return base64.StdEncoding.EncodeToString(p.file()) }

// file draws and encodes the image. It is not kept: the same image drawn
// again has the same bytes, and a long session would fill the memory.
func (p *picture) file() []byte {
	width, height := p.pixels()
	img := draw(width, height, p.Prompt, p.seed, p.fault.name == "huge")
	var b bytes.Buffer
	if p.jpeg {
		_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}) // a buffer takes everything
	} else {
		encoder := png.Encoder{CompressionLevel: png.BestSpeed}
		_ = encoder.Encode(&b, img)
	}
	return b.Bytes()
}

// file serves an image link.
func (s *Sandbox) file(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	p := s.pictures[strings.TrimSuffix(r.PathValue("name"), ".png")]
	s.mu.Unlock()
	if r.Header.Get("Authorization") != "" {
		answer(w, http.StatusForbidden, `{"RetCode":-148653,"ErrMsg":"signature error"}`)
		return
	}
	get := int64(0)
	if p != nil {
		get = p.gets.Add(1)
	}
	switch {
	case p == nil, p.fault.name == "download", p.fault.name == "late" && get <= 2:
		answer(w, http.StatusNotFound, `{"RetCode":-148654, "ErrMsg":"file not exist"}`)
		return
	case p.fault.name == "page":
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><body>one moment please</body></html>")
		return
	}
	file := p.file()
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s_watermark.png"`, p.id))
	if p.fault.name == "cut" {
		w.Header().Set("Transfer-Encoding", "identity") // the end of the connection is the end of the file
		_, _ = w.Write(file[:len(file)/2])
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(file))) //nolint:gosec // the fault above has returned: never both headers
	if p.fault.name == "truncated" && get == 1 {
		_, _ = w.Write(file[:len(file)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(file)
}
