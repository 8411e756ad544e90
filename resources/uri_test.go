package resources_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

const someID = "01m7wnsdj83vthhjy68qfe1hke"

// ParseURI accepts exactly the URIs that URI returns.
func TestParseURI(t *testing.T) {
	t.Parallel()
	for view, uri := range map[resources.View]string{
		resources.Original: "zai-image://images/" + someID,
		resources.Preview:  "zai-image://images/" + someID + "/preview",
		resources.Metadata: "zai-image://images/" + someID + "/metadata",
		resources.ExportView(spec(t, "webp-1200x630-cover")): "zai-image://images/" + someID + "/exports/webp-1200x630-cover",
	} {
		assert.Equal(t, uri, resources.URI(someID, view))
		id, got, ok := resources.ParseURI(uri)
		require.True(t, ok, uri)
		assert.Equal(t, someID, id)
		assert.Equal(t, view, got)
	}
	for _, uri := range []string{
		"", "zai-image://images/", "zai-image://models", "zai-image://images/" + someID + "/", "zai-image://images/" + someID + "/preview/",
		"zai-image://images/" + someID + "/other", "zai-image://images/../" + someID, "zai-image://images/%2e%2e/" + someID,
		"zai-image://images/" + strings.ToUpper(someID), "zai-image://images/" + someID + "\x00", "zai-image://images/" + someID + "?x",
		"http://images/" + someID, "zai-image://images/" + someID[:25], "zai-image://images/" + strings.Repeat("u", 26), "zai-image://images/8" + someID[1:],
		"zai-image://images/" + someID + "/exports", "zai-image://images/" + someID + "/exports/", "zai-image://images/" + someID + "/exports/png/",
		"zai-image://images/" + someID + "/exports/webp-1200x630", "zai-image://images/" + someID + "/exports/../png",
	} {
		_, _, ok := resources.ParseURI(uri)
		assert.False(t, ok, "%q", uri)
	}
}

// URI returns exactly the text that ParseURI accepted.
func FuzzURIs(f *testing.F) {
	for _, seed := range []string{resources.URI(someID, resources.Original), resources.URI(someID, resources.Preview), "zai-image://images/../../etc/passwd", "zai-image://images/%2e%2e/x", "zai-image://images/" + someID + "/exports/jpg-800x800-contain-ffffff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		id, view, ok := resources.ParseURI(uri)
		if ok && resources.URI(id, view) != uri {
			t.Fatalf("%q is not the only form of %q %q", uri, id, view)
		}
		if ok && strings.ContainsAny(id, `/\.%`+"\x00") {
			t.Fatalf("id %q", id)
		}
	})
}
