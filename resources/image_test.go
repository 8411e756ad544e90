package resources_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/resources"
)

// An image may still be saved only if its request may still be sent, it may get or
// has a link, or its task can be polled.
func TestImage_Recoverable(t *testing.T) {
	t.Parallel()
	failure := &resources.Failure{}
	for name, tt := range map[string]struct {
		image resources.Image
		want  bool
	}{
		"queued":                       {resources.Image{State: resources.Queued}, true},
		"submitted":                    {resources.Image{State: resources.Submitted}, true},
		"answered":                     {resources.Image{State: resources.Answered}, true},
		"answered, download failed":    {resources.Image{State: resources.Answered, UpstreamURL: "https://x.example/a.png", Failure: failure}, true},
		"answered, failed and no link": {resources.Image{State: resources.Answered, Failure: failure}, false},
		"unknown":                      {resources.Image{State: resources.Unknown, Failure: failure}, false},
		"unknown task":                 {resources.Image{State: resources.Unknown, TaskID: "1", Failure: failure}, true},
		"saved":                        {resources.Image{State: resources.Saved}, false},
		"failed":                       {resources.Image{State: resources.Failed, Failure: failure}, false},
		"removed":                      {resources.Image{State: resources.Removed}, false},
		"removed, with a link":         {resources.Image{State: resources.Removed, UpstreamURL: "https://x.example/a.png"}, false},
	} {
		assert.Equal(t, tt.want, tt.image.Recoverable(), name)
	}
}
