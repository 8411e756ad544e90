package resources_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/resources"
)

// The kinds are a contract with callers, and each has one description for users.
func TestKinds(t *testing.T) {
	t.Parallel()
	retryable := map[resources.Kind]bool{
		"invalid_argument": false, "no_api_key": false, "unauthorized": false, "wrong_region": false, "no_balance": false, "rate_limited": true,
		"quota": false, "content_blocked": false, "budget_exceeded": false, "upstream": false, "outcome_unknown": false, "download": true,
		"storage": true, "not_found": false, "cancelled": true, "internal": false,
	}
	kinds := resources.Kinds()
	assert.Len(t, kinds, len(retryable))
	for _, info := range kinds {
		want, known := retryable[info.Kind]
		assert.True(t, known, info.Kind)
		delete(retryable, info.Kind)
		assert.Equal(t, want, info.Retryable, info.Kind)
		assert.Equal(t, want, info.Kind.Retryable(), info.Kind)
		assert.Regexp(t, `^[A-Z].*[^.]$`, info.Meaning)
		assert.Regexp(t, `^[A-Z].*[^.]$`, info.Remedy)
		assert.NotContains(t, info.Meaning+info.Remedy, "|", "both are cells of a Markdown table")
	}
	assert.Empty(t, retryable)
}
