package tools_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/resources"
	"zai-image-mcp/tools"
)

var white = color.White

// quoteJSON returns a string as JSON.
func quoteJSON(t *testing.T, text string) string {
	t.Helper()
	b, err := json.Marshal(text)
	require.NoError(t, err)
	return string(b)
}

// contents returns the images and links of a result.
func contents(result *mcp.CallToolResult) (images []mcp.ImageContent, links []mcp.ResourceLink) {
	for _, c := range result.Content {
		switch c := c.(type) {
		case mcp.ImageContent:
			images = append(images, c)
		case mcp.ResourceLink:
			links = append(links, c)
		}
	}
	return images, links
}

func TestExport_File(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	long := "A [fox] (red) & \"quick\". " + strings.Repeat("It runs. ", 100)
	drawing := r.saveDrawing(t, 400, white, long)
	result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"save_as":"assets/hero image (1).webp","size":"300x100","replace":"false"}`, drawing.ID))
	require.False(t, result.IsError, text(t, result))
	b := r.read(t, "assets/hero image (1).webp")
	assertImage(t, b, "webp", 300, 100)
	require.Len(t, s.Images, 1)
	i := s.Images[0]
	uri := "zai-image://images/" + drawing.ID + "/exports/webp-300x100-cover"
	assert.Equal(t, resources.Entry{
		ID: drawing.ID, Status: resources.StatusSaved, URI: uri, SavedAs: "assets/hero image (1).webp", Path: filepath.Join(r.dir, "assets", "hero image (1).webp"),
		MIMEType: "image/webp", Width: 300, Height: 100, Bytes: int64(len(b)), SHA256: hash(b), Prompt: string([]rune(long)[:299]) + "…",
		Model: drawing.Model, Size: "9x9", CreatedAt: drawing.CreatedAt.Format(time.RFC3339Nano), Sandbox: true,
	}, i)
	assert.Equal(t, []string{
		`Markdown: ![A \[fox\] (red) \& "quick"](assets/hero%20image%20%281%29.webp)`,
		`HTML: <img src="assets/hero%20image%20%281%29.webp" width="300" height="100" alt="A [fox] (red) &amp; &#34;quick&#34;">`,
	}, s.Notes)
	for _, part := range append([]string{drawing.ID, "saved as assets/hero image (1).webp (300x100, WebP, ", i.Path, uri, "free of charge", "sandbox"}, s.Notes...) {
		assert.Contains(t, text(t, result), part)
	}
	previews, links := contents(result)
	require.Len(t, previews, 1)
	assert.Equal(t, "image/jpeg", previews[0].MIMEType)
	preview, err := base64.StdEncoding.DecodeString(previews[0].Data)
	require.NoError(t, err)
	assertImage(t, preview, "jpeg", 300, 100)
	require.Len(t, links, 1)
	assert.Equal(t, uri, links[0].URI)
	assert.Equal(t, "hero image (1).webp", links[0].Name)
	assert.Equal(t, "image/webp", links[0].MIMEType)
	assert.Equal(t, i.Bytes, *links[0].Size)
	assert.Zero(t, r.sandbox.Posts())
}

func TestExport_Formats(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	drawing := r.saveDrawing(t, 400, white, "a square")
	for arguments, want := range map[string]struct {
		spec, format  string
		width, height int
	}{
		`"save_as":"a.png"`: {"png", "png", 400, 400},
		`"save_as":"a.jpg","size":"200x300","fit":"contain"`:                  {"jpg-200x300-contain", "jpeg", 200, 300},
		`"save_as":"a.jpeg","size":"200X300","fit":"Cover"`:                   {"jpg-200x300-cover", "jpeg", 200, 300},
		`"save_as":"b.png","size":"512x512"`:                                  {"png-512x512-cover", "png", 512, 512},
		`"save_as":"c.png","background":"#F0a"`:                               {"png-ff00aa", "png", 400, 400},
		`"save_as":"d.webp","background":"transparent"`:                       {"webp-transparent", "webp", 400, 400},
		`"size":"100x100"`:                                                    {"png-100x100-cover", "", 0, 0},
		`"background":"transparent","size":"64x64","fit":"contain","set":""`:  {"png-64x64-contain-transparent", "", 0, 0},
		`"save_as":"e.png","background":" transparent ","fit":"","size":null`: {"png-transparent", "png", 400, 400},
	} {
		result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,%s}`, "zai-image://images/"+drawing.ID, arguments))
		require.False(t, result.IsError, text(t, result))
		require.Len(t, s.Images, 1, arguments)
		assert.Equal(t, "zai-image://images/"+drawing.ID+"/exports/"+want.spec, s.Images[0].URI)
		if want.format == "" {
			assert.Empty(t, s.Images[0].SavedAs)
			assert.Contains(t, text(t, result), "pass save_as for that")
			continue
		}
		assertImage(t, r.read(t, s.Images[0].SavedAs), want.format, want.width, want.height)
		assert.Equal(t, strings.Contains(arguments, "512x512"), strings.Contains(notesOf(s), "b.png was scaled up from the original of 400x400"), arguments)
		assert.Equal(t, strings.Contains(arguments, "transparent"), strings.Contains(notesOf(s), "75 % of the pixels became transparent"), "%s: %s", arguments, s.Notes)
	}
}

func TestExport_Arguments(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	drawing := r.saveDrawing(t, 200, white, "a square")
	_, photo := r.call(t, "generate_image", `{"prompt":"a landscape","size":"512x512"}`)
	posts := r.sandbox.Posts()
	for arguments, want := range map[string]string{
		`"save_as":"x.jpg","background":"transparent"`: "JPEG cannot be transparent",
		`"save_as":"x.png","size":"5000x10"`:           "4096",
		`"save_as":"x.png","size":"big"`:               "WIDTHxHEIGHT",
		`"save_as":"x.png","fit":"contain"`:            "fit needs a size",
		`"size":"10x10","fit":"fill"`:                  "no fit",
		`"background":"red"`:                           "neither a color nor transparent",
		`"set":"favicon","size":"10x10"`:               "do not go together",
		`"set":"icons"`:                                "favicon, app-icon or social",
		`"set":"favicon","save_as":"../public/"`:       "..",
		`"set":"favicon","save_as":"/public/"`:         "/public",
		`"set":"favicon","save_as":"x.svg"`:            "not that of an image",
		`"set":"favicon","save_as":".git/"`:            ".git",
		`"replace":true`:                               "replace needs save_as",
		`"replace":"maybe"`:                            `"replace" must be true or false`,
		`"replace":1`:                                  `"replace" must be true or false`,
		`"format":"png"`:                               "Known arguments are: id, save_as, size, fit, background, set, replace.",
		`"save_as":"x.ico","size":"64x32"`:             "ICO",
		`"save_as":"x.gif"`:                            "x.gif",
	} {
		result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,%s}`, drawing.ID, arguments))
		require.True(t, result.IsError, "%s: %s", arguments, text(t, result))
		assert.EqualValues(t, "invalid_argument", s.Error.Kind)
		assert.Contains(t, text(t, result), want, arguments)
		assert.NotEmpty(t, s.Error.Hint)
	}
	for id, kind := range map[string]string{"": "invalid_argument", "x": "not_found", "01m7wnsdj83vthhjy68qfe1hke": "not_found"} {
		_, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"save_as":"x.png"}`, id))
		require.NotNil(t, s.Error)
		assert.EqualValues(t, kind, s.Error.Kind)
	}
	result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"save_as":"x.png","background":"transparent"}`, photo.Images[0].ID))
	require.True(t, result.IsError, "a landscape has no plain background")
	assert.EqualValues(t, "invalid_argument", s.Error.Kind)
	assert.NotEmpty(t, s.Error.Hint)
	assert.Empty(t, files(t, r.dir))
	assert.Equal(t, posts, r.sandbox.Posts())
}

// hash returns the SHA-256 in hex.
func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func resultSize(t *testing.T, result *mcp.CallToolResult) int {
	t.Helper()
	raw, err := json.Marshal(result)
	require.NoError(t, err)
	return len(raw)
}

// Without a project, the file is a preview, a resource and a download link.
func TestExport_OverHTTP(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *tools.Config, j *jobs.Config) {
		c.Locator = resources.Locator{Links: resources.NewLinks(j.Library, "https://images.example", time.Hour)}
	})
	drawing := r.saveDrawing(t, 200, white, "a square")
	result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"size":"100x50"}`, drawing.ID))
	require.False(t, result.IsError, text(t, result))
	i := s.Images[0]
	assert.Empty(t, i.SavedAs)
	assert.Empty(t, i.Path)
	assert.True(t, strings.HasPrefix(i.DownloadURL, "https://images.example/images/"+drawing.ID+"/exports/png-100x50-cover.png?exp="), i.DownloadURL)
	assert.NotEmpty(t, i.DownloadExpiresAt)
	assert.Contains(t, text(t, result), i.DownloadURL)
	assert.NotContains(t, text(t, result), "save_as", "which is refused")
	assert.Empty(t, s.Notes)
	previews, links := contents(result)
	assert.Len(t, previews, 1)
	assert.Len(t, links, 1)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.DownloadURL, http.NoBody)
	require.NoError(t, err)
	assert.NotEmpty(t, request.URL.Query().Get("sig"))

	result, s = r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"set":"social"}`, drawing.ID))
	require.False(t, result.IsError, text(t, result))
	assert.Len(t, s.Images, 3)
	_, links = contents(result)
	assert.Equal(t, "social-1200x630.png", links[0].Name)
}

// export_image waits for an image that is still being made, and fails if it is lost.
func TestExport_UnsavedImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inBubble(t, func(c *tools.Config, _ *jobs.Config) { c.Wait, c.Project = 300*time.Millisecond, project.New(dir) }, func(t *testing.T, r *rig) {
		_, s := r.call(t, "generate_image", `{"prompt":"sandbox:delay=1s","size":"512x512"}`)
		id := s.Images[0].ID
		arguments := fmt.Sprintf(`{"id":%q,"save_as":"icon.png","size":"64x64"}`, id)
		result, s := r.call(t, "export_image", arguments)
		require.False(t, result.IsError)
		assert.Equal(t, resources.StatusWorking, s.Images[0].Status)
		assert.Contains(t, notesOf(s), "No file was made yet: call export_image again when the image is saved.")
		time.Sleep(800 * time.Millisecond)
		result, s = r.call(t, "export_image", arguments)
		require.False(t, result.IsError, text(t, result))
		assert.Equal(t, "icon.png", s.Images[0].SavedAs)
		assert.Equal(t, []string{"icon.png"}, files(t, dir))
	})
	r := newProjectRig(t, nil)
	_, s := r.call(t, "generate_image", `{"prompt":"sandbox:download","size":"512x512"}`)
	_, lost, _ := strings.Cut(s.Error.Hint, "get_image with id ")
	result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"save_as":"icon.png"}`, lost[:26]))
	require.True(t, result.IsError)
	assert.EqualValues(t, "download", s.Error.Kind)
	assert.True(t, strings.HasPrefix(s.Error.Message, "No file was made. The image was generated and paid for, but "), s.Error.Message)
	assert.Empty(t, files(t, r.dir))
}

// An export delivers its image: after it, an equal call generates a new one.
func TestExport_DeliversImage(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	const arguments = `{"prompt":"a fox","size":"512x512"}`
	undelivered := as(t.Context(), tools.Caller{Owner: "local"})
	_, first := r.callWith(t, undelivered, "generate_image", arguments)
	_, again := r.callWith(t, undelivered, "generate_image", arguments)
	require.Equal(t, first.Images[0].ID, again.Images[0].ID, "the image is not delivered")
	result, _ := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"size":"64x64"}`, first.Images[0].ID))
	require.False(t, result.IsError, text(t, result))
	_, other := r.call(t, "generate_image", arguments)
	assert.NotEqual(t, first.Images[0].ID, other.Images[0].ID)
}

// Without a project and links, the result says that the file is only a resource, and why.
func TestExport_ResourceOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *tools.Config, _ *jobs.Config) { c.NoProject = "the host started the server in /; set --project" })
	drawing := r.saveDrawing(t, 100, white, "a square")
	result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,"size":"50x50"}`, drawing.ID))
	const note = "This is only a resource, because there is no project to write files into: the host started the server in /; set --project."
	assert.Equal(t, []string{note}, s.Notes)
	assert.Contains(t, text(t, result), note)
}

// What a result shows of a file depends on Inline, and an icon is shown as a JPEG.
func TestExport_Inline(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	drawing := r.saveDrawing(t, 300, color.RGBA{200, 220, 90, 255}, "a square")
	for inline, types := range map[tools.Inline][]string{
		tools.InlineNone: nil, tools.InlinePreview: {"image/jpeg"}, tools.InlineFull: {"image/png"},
	} {
		ctx := as(t.Context(), tools.Caller{Owner: "local", Inline: inline})
		result, _ := r.callWith(t, ctx, "export_image", fmt.Sprintf(`{"id":%q,"size":"100x50"}`, drawing.ID))
		previews, _ := contents(result)
		var got []string
		for _, p := range previews {
			got = append(got, p.MIMEType)
		}
		assert.Equal(t, types, got, inline)
	}
	ctx := as(t.Context(), tools.Caller{Owner: "local", Inline: tools.InlineFull})
	result, s := r.callWith(t, ctx, "export_image", fmt.Sprintf(`{"id":%q,"set":"favicon"}`, drawing.ID))
	previews, _ := contents(result)
	require.Len(t, previews, 1)
	assert.Equal(t, "image/jpeg", previews[0].MIMEType)
	assert.Contains(t, notesOf(s), "preview")
	b, err := base64.StdEncoding.DecodeString(previews[0].Data)
	require.NoError(t, err)
	img := assertImage(t, b, "jpeg", 256, 256)
	corner := color.RGBAModel.Convert(img.At(2, 2)).(color.RGBA)
	assert.InDelta(t, 200, int(corner.R), 12)
	assert.InDelta(t, 90, int(corner.B), 12)
	assert.Equal(t, image.Pt(0, 0), img.Bounds().Min)
}
