package mcpserver_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// A client of one replica is notified of an image that another replica made: its
// list has changed, and the image to which it is subscribed is saved.
func TestReplicas_Notifications(t *testing.T) {
	t.Parallel()
	var available atomic.Bool // the files of images
	api := testrig.API(t, func(o *testrig.APIOptions) {
		o.Wrap = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && !available.Load() {
					http.NotFound(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	})
	folder := t.TempDir()
	var library *resources.Library
	shared := func(c *settings) {
		library = testrig.Library(t, func(o *testrig.LibraryOptions) { o.Folder = folder })
		c.Library = library
		c.Jobs.RecoveryDelay = time.Hour // the first list, not recovery, begins the watch
	}
	here, there := newRigOn(t, api, shared), newRigOn(t, api, shared)
	here.handshake(t)
	here.send(t, `{"jsonrpc":"2.0","id":1,"method":"resources/list","params":{}}`)
	require.Nil(t, here.answer(t).Error)
	maker, err := there.Client(t.Context(), "maker", "1")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, maker.Close()) })
	call := func(tool, argument, value string) bool {
		request := mcp.CallToolRequest{}
		request.Params.Name, request.Params.Arguments = tool, map[string]any{argument: value}
		result, err := maker.CallTool(t.Context(), request)
		require.NoError(t, err)
		return !result.IsError
	}
	require.False(t, call("generate_image", "prompt", "a fox"), "its download fails")
	unsaved, err := library.Unsaved(t.Context(), "local", 1)
	require.NoError(t, err)
	require.Len(t, unsaved, 1)
	uri := resources.URI(unsaved[0].ID, resources.Original)
	here.send(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":%q}}`, uri))
	require.Nil(t, here.answer(t).Error)
	available.Store(true)
	require.True(t, call("get_image", "id", unsaved[0].ID), "it is fetched again")
	saved := here.next(t)
	for saved.Method != "notifications/resources/list_changed" { // the failure may be reported first
		require.Equal(t, "notifications/resources/updated", saved.Method)
		saved = here.next(t)
	}
	saved = here.next(t)
	assert.Equal(t, "notifications/resources/updated", saved.Method)
	assert.Equal(t, uri, saved.Params["uri"])
}
