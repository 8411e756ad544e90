package gallery

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"time"
)

//go:embed pages/*.html assets/*
var files embed.FS

// asset is a file that pages refer to.
type asset struct {
	data     []byte
	hash     string
	mimeType string
}

// loadAssets returns the assets by their names.
func loadAssets() (map[string]asset, error) {
	entries, err := files.ReadDir("assets")
	if err != nil {
		return nil, err
	}
	types := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon",
	}
	assets := map[string]asset{}
	for _, e := range entries {
		data, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			return nil, err
		}
		mimeType, ok := types[path.Ext(e.Name())]
		if !ok {
			return nil, fmt.Errorf("the asset %s has an unknown type", e.Name())
		}
		sum := sha256.Sum256(data)
		assets[e.Name()] = asset{data, hex.EncodeToString(sum[:8]), mimeType}
	}
	return assets, nil
}

// serveAsset serves an asset. With its hash as the query, it may be kept forever.
func (g *Gallery) serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	a, ok := g.assets[name]
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.mimeType)
	h.Set("ETag", `"`+a.hash+`"`)
	h.Set("Cache-Control", "no-cache")
	if r.URL.RawQuery == a.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.data))
}
