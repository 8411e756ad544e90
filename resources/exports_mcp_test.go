package resources_test

import (
	"bytes"
	"encoding/json"
	"image/png"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// An export is a resource under the URI of its spec. Its template completes ids.
func TestMCP_Export(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	i := save(t, l, "A fox", testrig.PNGPhoto(t, 64, 48))
	m := &resources.MCP{Library: l}
	templates := ""
	for _, template := range m.Templates() {
		b, err := json.Marshal(template)
		require.NoError(t, err)
		templates += string(b)
	}
	assert.Contains(t, templates, `"zai-image://images/{id}/exports/{spec}"`)
	complete, err := m.Complete(t.Context(), "local", "zai-image://images/{id}/exports/{spec}", mcp.CompleteArgument{Name: "id", Value: i.ID[:3]})
	require.NoError(t, err)
	assert.Equal(t, []string{i.ID}, complete.Values)

	uri := resources.URI(i.ID, resources.ExportView(spec(t, "png-20x10-cover")))
	assert.Equal(t, "zai-image://images/"+i.ID+"/exports/png-20x10-cover", uri)
	contents, err := m.Read(t.Context(), "local", uri)
	require.NoError(t, err)
	require.Len(t, contents, 1)
	got, ok := contents[0].(resources.Blob)
	require.True(t, ok)
	assert.Equal(t, []string{uri, "image/png"}, []string{got.URI, got.MIMEType})
	config, err := png.DecodeConfig(bytes.NewReader(got.Data))
	require.NoError(t, err)
	assert.Equal(t, [2]int{20, 10}, [2]int{config.Width, config.Height})

	_, err = m.Read(t.Context(), "somebody", uri)
	require.ErrorIs(t, err, resources.ErrNotFound)
	base := resources.URI(i.ID, resources.Original) + "/exports/"
	for _, wrong := range []string{"", "png/", "PNG", "gif", "png-20x10", "png-0x10-cover", "png-9999x10-cover", "jpg-transparent", "png-20x10-cover.png", "../png", "png-FFFFFF"} {
		_, err = m.Read(t.Context(), "local", base+wrong)
		require.ErrorIs(t, err, resources.ErrNotFound, wrong)
	}
}

// failed is an error that says what callers can do.
type failed interface {
	error
	Failure() *resources.Failure
}

// An export that cannot be read as a resource fails with what to do instead.
func TestMCP_ExportFails(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	i := save(t, l, "A fox", encodePNG(t, noise(64, 64)))
	s := spec(t, "png-300x300-cover")
	uri := resources.URI(i.ID, resources.ExportView(s))
	for _, tt := range []struct {
		locator resources.Locator
		hint    string
	}{
		{resources.Locator{}, "save_as"},
		{resources.Locator{Links: resources.NewLinks(l, "https://x.example", time.Hour)}, "https://x.example/images/" + i.ID + "/exports/png-300x300-cover.png?"},
	} {
		m := &resources.MCP{Library: l, MaxMessage: 60_000, Locator: tt.locator}
		_, err := m.Read(t.Context(), "local", uri)
		var failure failed
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, resources.KindInvalidArgument, failure.Failure().Kind)
		assert.Contains(t, failure.Failure().Message, "larger than one message may be")
		assert.Contains(t, failure.Failure().Hint, tt.hint)
		_, err = m.Read(t.Context(), "local", resources.URI(i.ID, resources.ExportView(spec(t, "png-30x30-cover"))))
		require.NoError(t, err, "control: a smaller one")
	}
	m := &resources.MCP{Library: l}
	_, err := m.Read(t.Context(), "local", uri)
	require.NoError(t, err, "control: no limit")
	_, err = m.Read(t.Context(), "local", resources.URI(i.ID, resources.ExportView(spec(t, "png-transparent"))))
	var failure failed
	require.ErrorAs(t, err, &failure, "no plain background")
	assert.Equal(t, resources.KindInvalidArgument, failure.Failure().Kind)
}

// The metadata resource has the marks of the image, and the results of tools do not.
func TestMCP_MetadataMarks(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	m := &resources.MCP{Library: l}
	i := save(t, l, "A fox", withAIGC(testrig.PNGPhoto(t, 64, 48)))
	contents, err := m.Read(t.Context(), "local", resources.URI(i.ID, resources.Metadata))
	require.NoError(t, err)
	text, ok := contents[0].(mcp.TextResourceContents)
	require.True(t, ok)
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(text.Text), &got))
	assert.Equal(t, []any{"AIGC"}, got["marks"])
	assert.Equal(t, false, got["sandbox"])
	entry, err := json.Marshal(l.Entry(t.Context(), i, resources.Locator{}))
	require.NoError(t, err)
	assert.NotContains(t, string(entry), "marks")
	assert.NotContains(t, string(entry), "saved_as")
}
