package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Each kind of package zai, which imports no other package, becomes the kind of
// package resources with the same value.
func TestDescribe_ZaiKinds(t *testing.T) {
	t.Parallel()
	for kind, want := range map[zai.Kind]resources.Kind{
		zai.KindInvalidArgument: resources.KindInvalidArgument, zai.KindUnauthorized: resources.KindUnauthorized, zai.KindWrongRegion: resources.KindWrongRegion,
		zai.KindNoBalance: resources.KindNoBalance, zai.KindRateLimited: resources.KindRateLimited, zai.KindQuota: resources.KindQuota,
		zai.KindContentBlocked: resources.KindContentBlocked, zai.KindUpstream: resources.KindUpstream, zai.KindOutcomeUnknown: resources.KindOutcomeUnknown,
		zai.KindDownload: resources.KindDownload, zai.KindCancelled: resources.KindCancelled,
	} {
		f := jobs.Describe(&zai.Error{Kind: kind})
		assert.Equal(t, want, f.Kind)
		assert.NotEmpty(t, f.Message)
		assert.NotEmpty(t, f.Hint)
	}
}

// A wrapped error has the kind of the error that it wraps. The text of an
// unknown error is not shown.
func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err       error
		kind      resources.Kind
		retryable bool
	}{
		{jobs.ErrClosing, resources.KindCancelled, true},
		{context.Canceled, resources.KindCancelled, true},
		{context.DeadlineExceeded, resources.KindCancelled, true},
		{jobs.ErrCallCancelled, resources.KindCancelled, false},
		{jobs.ErrBusy, resources.KindRateLimited, true},
		{jobs.ErrManyCalls, resources.KindRateLimited, true},
		{jobs.ErrNoKey, resources.KindNoAPIKey, false},
		{&jobs.KeyError{Problem: "Problem.", Hint: "Hint."}, resources.KindNoAPIKey, false},
		{&jobs.BudgetError{}, resources.KindBudgetExceeded, false},
		{&jobs.BudgetError{AskOperator: true}, resources.KindBudgetExceeded, false},
		{&jobs.DailyImagesError{}, resources.KindBudgetExceeded, false},
		{jobs.ErrReadOnly, resources.KindBudgetExceeded, false},
		{&jobs.InternalError{Reference: "ABCD"}, resources.KindInternal, false},
		{resources.ErrNotFound, resources.KindNotFound, false},
		{resources.ErrCorrupt, resources.KindStorage, false},
		{resources.ErrStorage, resources.KindStorage, true},
		{&resources.StorageError{Part: "folder", Path: "/images", Err: errors.New("it is read-only")}, resources.KindStorage, true},
		{errors.New("secret"), resources.KindInternal, false},
	} {
		f := jobs.Describe(fmt.Errorf("wrapped: %w", tt.err))
		assert.Equal(t, tt.kind, f.Kind, tt.err)
		assert.Equal(t, tt.retryable, f.Retryable, tt.err)
		assert.NotContains(t, f.Message+f.Hint, "secret")
		assert.Regexp(t, `^[A-Z].*\.$`, f.Message, tt.err)
		assert.Regexp(t, `\.$`, f.Hint, tt.err)
	}
	assert.Contains(t, jobs.Describe(&jobs.InternalError{Reference: "ABCD"}).Hint, "Reference ABCD.")
	assert.Contains(t, jobs.Describe(&resources.StorageError{Part: "folder", Path: "/images", Err: errors.New("it is read-only")}).Message, "/images")
}
