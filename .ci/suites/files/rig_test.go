// Package files tests the files that the built program writes into projects: with MCP
// clients and a real host as callers, and with exiftool, ImageMagick, libwebp, pngcheck,
// sharp and Chromium as readers. The tests fail if one of these programs is missing.
//
// ZAI_TEST_SHARP names a folder in which sharp is installed with npm.
package files

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

func TestMain(m *testing.M) {
	status := m.Run()
	testrig.RemoveProgram()
	os.Exit(status)
}

// service is the API of a test. It records the hash of each image that it serves.
type service struct {
	*testrig.Service
	picture []byte // served in place of the sandbox's images; nil for those

	mu     sync.Mutex
	served []string // SHA-256 in hex
}

func newService(t *testing.T, picture []byte) *service {
	t.Helper()
	s := &service{picture: picture}
	s.Service = testrig.API(t, func(o *testrig.APIOptions) { o.Wrap = s.record })
	return s
}

func (s *service) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/files/") {
			next.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		file := answer.Body.Bytes()
		if s.picture != nil {
			file = s.picture
		}
		s.mu.Lock()
		s.served = append(s.served, hash(file))
		s.mu.Unlock()
		w.Header().Set("Content-Type", http.DetectContentType(file))
		_, _ = w.Write(file)
	})
}

// lastServed returns the hash of the image that the service sent last.
func (s *service) lastServed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served[len(s.served)-1]
}

// host is an MCP client with the built program as its server, and a project.
type host struct {
	*sdk.ClientSession
	project string // absolute path
	store   string // folder of the library
}

// connect starts the program over stdio with a new project and a new library, and with
// further flags.
func connect(t *testing.T, s *service, flags ...string) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{project: filepath.Join(dir, "project"), store: filepath.Join(dir, "images")}
	require.NoError(t, os.Mkdir(h.project, 0o755))
	h.start(t, s, append([]string{"--project", h.project}, flags...)...)
	return h
}

// start starts the program. Without a service it uses its built-in sandbox.
func (h *host) start(t *testing.T, s *service, flags ...string) *exec.Cmd {
	t.Helper()
	env := []string{"ZAI_IMAGE_STORE=" + h.store, "ZAI_IMAGE_DAILY_BUDGET=0"}
	if s != nil {
		env = append(env, s.Env()...)
	}
	c := testrig.Command(t, env, flags...)
	var log testrig.Buffer
	c.Stderr = &log
	session, err := sdk.NewClient(&sdk.Implementation{Name: "files", Version: "1"}, nil).Connect(t.Context(), &sdk.CommandTransport{Command: c}, nil)
	require.NoError(t, err, log.String())
	t.Cleanup(func() { _ = session.Close() })
	h.ClientSession = session
	return c
}

type arguments = map[string]any

// result is the result of a tool call, as the client received it.
type result struct {
	text    string
	preview []byte
	links   []string
	isError bool

	Images []entry  `json:"images"`
	Notes  []string `json:"notes"`
	Error  struct {
		Kind string `json:"kind"`
	} `json:"error"`
}

// entry is the description of an image or of a file.
type entry struct {
	ID          string `json:"id"`
	Status      string `json:"status"`
	URI         string `json:"uri"`
	Path        string `json:"path"`
	SavedAs     string `json:"saved_as"`
	DownloadURL string `json:"download_url"`
	MIMEType    string `json:"mime_type"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Bytes       int    `json:"bytes"`
	SHA256      string `json:"sha256"`
	CreatedAt   string `json:"created_at"`
}

// try calls a tool.
func (h *host) try(t *testing.T, tool string, a arguments) (result, error) {
	t.Helper()
	answer, err := h.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: a})
	if err != nil {
		return result{}, err
	}
	r := result{isError: answer.IsError}
	for _, c := range answer.Content {
		switch c := c.(type) {
		case *sdk.TextContent:
			r.text += c.Text
		case *sdk.ImageContent:
			r.preview = c.Data
		case *sdk.ResourceLink:
			r.links = append(r.links, c.URI)
		}
	}
	structured, err := json.Marshal(answer.StructuredContent)
	if err == nil && answer.StructuredContent != nil {
		err = json.Unmarshal(structured, &r)
	}
	return r, err
}

// call calls a tool, which must succeed.
func (h *host) call(t *testing.T, tool string, a arguments) result {
	t.Helper()
	r, err := h.try(t, tool, a)
	require.NoError(t, err)
	require.False(t, r.isError, r.text)
	return r
}

// generate generates an image and returns its description.
func (h *host) generate(t *testing.T, prompt, size string) entry {
	t.Helper()
	return h.call(t, "generate_image", arguments{"prompt": prompt, "size": size}).Images[0]
}

// saved returns the path of a file that a call must have written under a name. If the entry
// describes the file, and not the image that it was made from, the bytes must be its own.
func (h *host) saved(t *testing.T, e entry, name string) string {
	t.Helper()
	path := filepath.Join(h.project, filepath.FromSlash(name))
	require.Equal(t, name, e.SavedAs)
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	if strings.Contains(e.URI, "/exports/") {
		require.Equal(t, path, e.Path)
		require.Equal(t, e.SHA256, hash(file), name)
		require.Len(t, file, e.Bytes, name)
	}
	return path
}

// tool runs another program, which must succeed, and returns its standard output.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	var problems bytes.Buffer
	c := exec.CommandContext(t.Context(), name, args...)
	c.Stderr = &problems
	out, err := c.Output()
	require.NoError(t, err, "%s %s\n%s%s", name, strings.Join(args, " "), out, &problems)
	return strings.TrimSpace(string(out))
}

// tree returns the files, folders and links below a folder, with hashes and targets.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		found[path] = d.Type().String()
		switch {
		case d.Type().IsRegular():
			file, err := os.ReadFile(path)
			found[path] = hash(file)
			return err
		case d.Type()&fs.ModeSymlink != 0:
			found[path], err = os.Readlink(path)
		}
		return err
	}))
	return found
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// disc returns a PNG of a red disc, with a blue square in its middle, on a plain
// background. The disc's diameter is three quarters of the side.
func disc(t *testing.T, side int, background color.Color) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			dx, dy := x-side/2, y-side/2
			switch {
			case max(dx, -dx, dy, -dy) < side/10:
				img.Set(x, y, color.RGBA{20, 40, 220, 255})
			case dx*dx+dy*dy < (side*3/8)*(side*3/8):
				img.Set(x, y, color.RGBA{220, 30, 20, 255})
			default:
				img.Set(x, y, background)
			}
		}
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

// write writes a file for another program into a temporary folder.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, data, 0o644))
	return path
}

// facts are what several programs say of a file; they must agree.
type facts struct {
	format        string // png, jpeg, webp
	width, height int
	alpha         bool
}

// look returns what file, ImageMagick and sharp say of a file.
func look(t *testing.T, path string) facts {
	t.Helper()
	var f facts
	var channels string
	_, err := fmt.Sscan(tool(t, "identify", "-format", "%m %w %h %[channels]", path), &f.format, &f.width, &f.height, &channels)
	require.NoError(t, err, path)
	f.format = strings.ToLower(f.format)
	f.alpha = strings.HasSuffix(channels, "a") // as in srgba

	require.Equal(t, "image/"+f.format, tool(t, "file", "--brief", "--mime-type", path))
	var s struct {
		Format        string
		Width, Height int
		HasAlpha      bool
	}
	require.NoError(t, json.Unmarshal([]byte(tool(t, "node", "sharp.cjs", path)), &s), path)
	require.Equal(t, facts{s.Format, s.Width, s.Height, s.HasAlpha}, f, path)
	switch f.format {
	case "png":
		require.Contains(t, tool(t, "pngcheck", path), "OK:")
	case "webp":
		require.Contains(t, tool(t, "webpinfo", path), "No error detected")
	}
	return f
}
