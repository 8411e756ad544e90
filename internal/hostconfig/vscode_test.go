package hostconfig_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The input for the key is added once. Inputs of other servers are kept.
func TestMerge_VSCodeInput(t *testing.T) {
	h := find(t, "vscode")
	ids := func(text []byte) (list []any) {
		inputs, _ := parse(t, "vscode", text)["inputs"].([]any)
		for _, input := range inputs {
			list = append(list, input.(map[string]any)["id"])
		}
		return list
	}
	for text, want := range map[string][]any{
		`{"servers": {}}`: {"zai-key"}, `{"inputs": []}`: {"zai-key"},
		`{"inputs": [{"id": "other", "type": "promptString"}], "servers": {"x": {"command": "y"}}}`: {"other", "zai-key"},
		`{"inputs": [{"id": "zai-key", "type": "promptString"}]}`:                                   {"zai-key"},
		`{"servers": {"zai-image": {"command": "old", "env": {"ZAI_API_KEY": "k"}}}}`:               nil, // the user's own key is kept
	} {
		m, err := h.Merge([]byte(text), server())
		require.NoError(t, err, text)
		assert.Equal(t, want, ids(m.Text), "%s", m.Text)
		again, err := h.Merge(m.Text, server())
		require.NoError(t, err)
		assert.False(t, again.Changed, text)
	}
	text, err := h.Entry(server())
	require.NoError(t, err)
	lost := strings.Replace(text, `"id":"zai-key"`, `"id":"renamed"`, 1)
	m, err := h.Merge([]byte(lost), server())
	require.NoError(t, err)
	assert.Equal(t, []any{"renamed", "zai-key"}, ids(m.Text), "a missing input is added again")
	assert.True(t, m.Replaces)
	assert.Equal(t, []string{"inputs"}, m.Changes)
	text, err = h.Entry(withKeyFile())
	require.NoError(t, err)
	assert.NotContains(t, text, "inputs")
}
