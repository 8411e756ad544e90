package folder_test

import (
	"testing"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/storetest"
)

func TestFolder(t *testing.T) {
	t.Parallel()
	for name, durable := range map[string]bool{"durable": true, "not durable": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t testing.TB) resources.Store {
				return folder.New(folder.Options{Dir: t.TempDir(), Durable: durable, Now: time.Now})
			})
		})
	}
}
