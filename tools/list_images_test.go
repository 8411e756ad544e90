package tools_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/tools"
)

// The list marks images of the sandbox.
func TestList_SandboxMark(t *testing.T) {
	t.Parallel()
	for _, inSandbox := range []bool{true, false} {
		r := newRig(t, func(c *tools.Config, j *jobs.Config) { c.Sandbox, j.Sandbox = false, inSandbox })
		_, made := r.call(t, "generate_image", `{"prompt":"a fox","size":"512x512"}`)
		assert.Equal(t, inSandbox, made.Images[0].Sandbox)
		result, s := r.call(t, "list_images", `{}`)
		assert.Equal(t, inSandbox, s.Images[0].Sandbox)
		assert.Equal(t, inSandbox, strings.Contains(text(t, result), "(sandbox) a fox"))
	}
}

func TestList_TextIsSafeToPrint(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	_, made := r.call(t, "generate_image", `{"prompt":"red\u001b]0;owned\u0007 \u202efox\u009b2J","size":"512x512"}`)
	require.Len(t, made.Images, 1)
	result, s := r.call(t, "list_images", `{}`)
	assert.Contains(t, text(t, result), `red\x1b]0;owned\a \u202efox\u009b2J`)
	assert.Equal(t, "red\x1b]0;owned\a \u202efox\u009b2J", s.Images[0].Prompt, "structured content is not changed")
}

func TestList(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	result, s := r.call(t, "list_images", `{}`)
	require.False(t, result.IsError)
	assert.Equal(t, "No images found.", text(t, result))
	result, _ = r.call(t, "list_images", `{"query":" red\u001b[2J fox "}`)
	assert.Equal(t, `No images whose prompt has all of the words: red\x1b[2J fox`, text(t, result))
	assert.NotNil(t, s.Images)
	var want []string
	for n := range 5 {
		_, made := r.call(t, "generate_image", fmt.Sprintf(`{"prompt":"image %d","size":"512x512"}`, n))
		want = append([]string{made.Images[0].ID}, want...)
	}
	var got []string
	cursor := ""
	for {
		_, page := r.call(t, "list_images", fmt.Sprintf(`{"limit":"2","cursor":%q}`, cursor))
		for _, i := range page.Images {
			got = append(got, i.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	assert.Equal(t, want, got)
	_, s = r.call(t, "list_images", `{"query":"image 3"}`)
	require.Len(t, s.Images, 1)
	assert.Equal(t, "image 3", s.Images[0].Prompt)
	for _, arguments := range []string{`{"limit":0}`, `{"limit":51}`, `{"cursor":"x"}`, `{"page":2}`} {
		result, s = r.call(t, "list_images", arguments)
		require.True(t, result.IsError, arguments)
		assert.EqualValues(t, "invalid_argument", s.Error.Kind)
	}
}
