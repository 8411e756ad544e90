package files

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page shows images and sends back their sizes and some of their pixels. An image that the
// browser cannot decode has the size 0.
const page = `<!doctype html><title>files</title><link rel="icon" href="/favicon.ico"><script>
onload = async () => {
  const shown = {};
  for (const name of await (await fetch('/names')).json()) {
    const image = new Image();
    image.src = name;
    if (await image.decode().then(() => false, () => true)) { shown[name] = { width: 0 }; continue; }
    const canvas = document.createElement('canvas');
    const [width, height] = [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const at = (x, y) => [...context.getImageData(x, y, 1, 1).data];
    shown[name] = { width, height, corner: at(0, 0), middle: at(width >> 1, height >> 1), disc: at(width >> 1, Math.round(height / 4)) };
  }
  fetch('/shown', { method: 'POST', body: JSON.stringify(shown) });
};
</script>`

// shown is what a browser shows of an image.
type shown struct {
	Width, Height        int
	Corner, Middle, Disc [4]int // red, green, blue, alpha
}

// Chromium decodes the favicon set and the pixels have the colours of the image.
func TestFavicon_InBrowser(t *testing.T) {
	t.Parallel()
	h := connect(t, newService(t, disc(t, 1024, lightGreen)))
	original := h.generate(t, "a red disc on a plain background", "1024x1024")
	var names []string
	for _, a := range []arguments{
		{"set": "favicon", "save_as": "public"}, {"set": "favicon", "save_as": "clear", "background": "transparent"},
		{"save_as": "disc.webp", "size": "200x200"}, {"save_as": "disc.jpg", "size": "200x200"}, {"save_as": "clear.webp", "background": "transparent"},
	} {
		a["id"] = original.ID
		for _, e := range h.call(t, "export_image", a).Images {
			names = append(names, "/"+e.SavedAs)
		}
	}
	// The browser requests this one by itself, at the path that it uses without a page's line.
	favicon, err := os.ReadFile(filepath.Join(h.project, "public", "favicon.ico"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(h.project, "favicon.ico"), favicon, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(h.project, "broken.ico"), favicon[:20], 0o644))
	names = append(names, "/favicon.ico", "/broken.ico")

	seen := browse(t, h.project, names)
	require.Len(t, seen, len(names))
	assert.Zero(t, seen["/broken.ico"].Width, "control: the page notices broken files")
	delete(seen, "/broken.ico")
	for name, s := range seen {
		require.Positive(t, s.Width, name)
		corner := [4]int{int(lightGreen.R), int(lightGreen.G), int(lightGreen.B), 255}
		clear := filepath.Dir(name) == "/clear" || name == "/clear.webp"
		if clear && filepath.Base(name) != "apple-touch-icon.png" { // iOS shows black where that is transparent
			corner = [4]int{}
		}
		near(t, corner, s.Corner, 30, name+": corner")
		near(t, [4]int{20, 40, 220, 255}, s.Middle, 30, name+": middle")
		near(t, [4]int{220, 30, 20, 255}, s.Disc, 30, name+": disc")
	}
	for name, width := range map[string]int{"/public/icon-512.png": 512, "/public/apple-touch-icon.png": 180, "/public/favicon-32x32.png": 32, "/disc.webp": 200} {
		assert.Equal(t, width, seen[name].Width, name)
	}
	t.Logf("Chromium shows %d files; favicon.ico with %d pixels", len(seen), seen["/favicon.ico"].Width)
}

// browse returns what Chromium shows of files in a folder.
func browse(t *testing.T, dir string, names []string) map[string]shown {
	t.Helper()
	results := make(chan map[string]shown, 1)
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(dir)))
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	})
	mux.HandleFunc("/names", func(w http.ResponseWriter, _ *http.Request) { assert.NoError(t, json.NewEncoder(w).Encode(names)) })
	mux.HandleFunc("/shown", func(_ http.ResponseWriter, r *http.Request) {
		var s map[string]shown
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&s))
		results <- s
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	// Processes of the browser write to its folder for a moment after it is killed.
	profile, err := os.MkdirTemp("", "browser") //nolint:usetesting // t.TempDir fails the test in that case
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		chromium, err = exec.LookPath("google-chrome")
	}
	require.NoError(t, err)
	browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+profile, server.URL+"/page")
	browser.WaitDelay = time.Second
	require.NoError(t, browser.Start())
	defer func() {
		_ = browser.Process.Kill()
		_ = browser.Wait()
	}()
	select {
	case s := <-results:
		return s
	case <-time.After(time.Minute):
		require.Fail(t, "the page did not finish")
		return nil
	}
}
