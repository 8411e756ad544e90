package jobs_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Recover finishes an image from each state in which a process can leave it.
func TestRecover_States(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	link := r.make(t, "a fox").UpstreamURL
	task, err := r.Client.Submit(t.Context(), zai.ImageRequest{Model: "glm-image", Prompt: "a poster", Size: "512x512"})
	require.NoError(t, err)
	failed, err := r.Client.Submit(t.Context(), zai.ImageRequest{Model: "glm-image", Prompt: "sandbox:task_failed", Size: "512x512"})
	require.NoError(t, err)
	posts := r.sandbox.Posts()
	tests := map[string]struct {
		left    resources.Image
		state   resources.State
		charged bool
		kind    string
	}{
		"queued":                 {resources.Image{State: resources.Queued}, resources.Failed, false, "cancelled"},
		"submitted":              {resources.Image{State: resources.Submitted}, resources.Unknown, true, "outcome_unknown"},
		"polling":                {resources.Image{State: resources.Polling, TaskID: task.ID}, resources.Saved, true, ""},
		"the task failed":        {resources.Image{State: resources.Polling, TaskID: failed.ID}, resources.Failed, false, "content_blocked"},
		"answered":               {resources.Image{State: resources.Answered, UpstreamURL: link}, resources.Saved, true, ""},
		"answered, without link": {resources.Image{State: resources.Answered}, resources.Unknown, true, "outcome_unknown"},
		"could not be fetched":   {resources.Image{State: resources.FetchFailed, UpstreamURL: link, Failure: &resources.Failure{Kind: "download"}}, resources.Saved, true, ""},
		"unknown":                {resources.Image{State: resources.Unknown, Failure: &resources.Failure{Kind: "outcome_unknown"}}, resources.Unknown, true, "outcome_unknown"},
	}
	want := map[string]string{}
	for name, tt := range tests {
		tt.left.Prompt, tt.left.CostMicroUSD = name, 10_000
		want[r.orphan(t, tt.left).ID] = name
	}
	list, err := r.Recover(t.Context(), false)
	require.NoError(t, err)
	assert.Len(t, list, len(tests)-1)
	for _, j := range list {
		<-j.Done()
	}
	for id, name := range want {
		image, tt := r.image(t, id), tests[name]
		assert.Equal(t, tt.state, image.State, name)
		assert.Equal(t, tt.charged, image.Charged, name)
		if tt.kind == "" {
			assert.Nil(t, image.Failure, name)
			_, err := r.Library.Read(t.Context(), image)
			require.NoError(t, err, name)
			continue
		}
		require.NotNil(t, image.Failure, name)
		assert.EqualValues(t, tt.kind, image.Failure.Kind, name)
		assert.Equal(t, tt.kind == "outcome_unknown", image.Status() == resources.StatusUnknown, name)
	}
	assert.Equal(t, posts, r.sandbox.Posts(), "recovery is free")
	again, err := r.Recover(t.Context(), false)
	require.NoError(t, err)
	assert.Empty(t, again)
}

// Recover finishes an image whose process saved the file but could not write the row.
func TestRecover_FileWithoutRow(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	picture, err := r.Library.Read(t.Context(), r.make(t, "a fox"))
	require.NoError(t, err)
	posts := r.sandbox.Posts()
	tests := map[string]struct {
		left    resources.State
		content []byte
		state   resources.State
	}{
		"submitted":                              {resources.Submitted, picture, resources.Saved},
		"answered, without link":                 {resources.Answered, picture, resources.Saved},
		"submitted, with a file of another kind": {resources.Submitted, []byte("text"), resources.Unknown},
	}
	want := map[string]string{}
	testrig.BreakCatalog(t, r.folder, resources.Saved)
	for name, tt := range tests {
		i := r.orphan(t, resources.Image{State: tt.left, Prompt: name, CostMicroUSD: 10_000})
		want[i.ID] = name
		_, err := r.Library.Save(t.Context(), i, resources.Content{
			Reader: bytes.NewReader(tt.content), MIMEType: "image/png", Extension: ".png", Width: 512, Height: 512,
		}, "dead")
		require.ErrorIs(t, err, resources.ErrStorage)
	}
	recoverAll := func() {
		t.Helper()
		list, err := r.Recover(t.Context(), true)
		require.NoError(t, err)
		for _, j := range list {
			<-j.Done()
		}
	}
	recoverAll()
	for id, name := range want {
		if tt := tests[name]; tt.state == resources.Saved {
			assert.Equal(t, tt.left, r.image(t, id).State, "it cannot be recorded now")
		}
	}
	r.repairCatalog(t)
	recoverAll()
	for id, name := range want {
		image, tt := r.image(t, id), tests[name]
		assert.Equal(t, tt.state, image.State, name)
		assert.True(t, image.Charged, name)
		if tt.state == resources.Saved {
			data, err := r.Library.Read(t.Context(), image)
			require.NoError(t, err, name)
			assert.Equal(t, picture, data, name)
		}
	}
	assert.Equal(t, posts, r.sandbox.Posts(), "recovery is free")
}

// The wait before the next download grows with the age of the image.
func TestNextTry(t *testing.T) {
	t.Parallel()
	for age, wait := range map[time.Duration]time.Duration{
		0: time.Minute, time.Minute: time.Minute, 10 * time.Minute: 5 * time.Minute, 2 * time.Hour: time.Hour, 5 * 24 * time.Hour: 6 * time.Hour,
	} {
		assert.Equal(t, wait, jobs.NextTry(age), age)
	}
	assert.Greater(t, jobs.NextTry(32*24*time.Hour), 365*24*time.Hour, "the link must have expired")
}

// After a suspension, recovery finds a queued image of its own process. It does
// not count as a caller, so the caller can still abandon the image.
func TestRecover_OwnWork(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config) { c.MaxConcurrent = 1 }, func(t *testing.T, r *rig) {
		slow, err := r.Start(t.Context(), order("sandbox:delay=500ms first"), nil)
		require.NoError(t, err)
		queued, err := r.Start(t.Context(), order("queued"), nil)
		require.NoError(t, err)
		r.sql(t, `UPDATE images SET lease_until_ms=1`)
		list, err := r.Recover(t.Context(), false)
		require.NoError(t, err)
		assert.Empty(t, list)
		queued.Abandon()
		<-queued.Jobs[0].Done()
		wait(t, slow)
		assert.EqualValues(t, 1, r.sandbox.Posts())
	})
}

// Resumed tasks that do not end do not delay downloads.
func TestRecover_StuckTasks(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		link := r.make(t, "a fox").UpstreamURL
		for range 20 {
			r.orphan(t, resources.Image{State: resources.Polling, TaskID: "unknown"})
		}
		answered := r.orphan(t, resources.Image{State: resources.Answered, UpstreamURL: link})
		_, err := r.Recover(t.Context(), false)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return r.image(t, answered.ID).State == resources.Saved }, time.Second, 5*time.Millisecond)
	})
}

// An image whose task the service does not find becomes unknown. Its task is
// polled again later, and only by processes that use the same service.
func TestRecover_UnknownTask(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, r *rig) {
		call, err := r.Start(t.Context(), poster("sandbox:task_gone"), nil)
		require.NoError(t, err)
		<-call.Jobs[0].Done()
		id := ids(call)[0]
		require.Equal(t, resources.PollFailed, r.image(t, id).State)
		good, err := r.Client.Submit(t.Context(), zai.ImageRequest{Model: "glm-image", Prompt: "a poster", Size: "512x512"})
		require.NoError(t, err)
		r.sql(t, `UPDATE images SET task_id='`+good.ID+`'`)
		list, err := r.Recover(t.Context(), false)
		require.NoError(t, err)
		assert.Empty(t, list, "the next poll is not due")
		next, ok, err := r.Library.Catalog().NextClaim(t.Context(), resources.Lease{Process: "another"})
		require.NoError(t, err)
		require.True(t, ok)
		assert.InDelta(t, time.Minute, next, float64(10*time.Second))
		sandboxed := r.another(t, func(c *jobs.Config) { c.Sandbox = true })
		list, err = sandboxed.Recover(t.Context(), true)
		require.NoError(t, err)
		assert.Empty(t, list, "the tasks of the service do not exist in the sandbox")
		list, err = r.Recover(t.Context(), true)
		require.NoError(t, err)
		require.Len(t, list, 1)
		<-list[0].Done()
		assert.Equal(t, resources.Saved, r.image(t, id).State)
	})
}

// A process that loses an image which it has just taken over does not decide what
// becomes of it.
func TestRecover_TakenOverAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	left := r.orphan(t, resources.Image{State: resources.Submitted, Prompt: "left"})
	trigger := `CREATE TRIGGER third AFTER UPDATE OF lease_owner ON images WHEN NEW.lease_owner='%s' BEGIN
		UPDATE images SET lease_owner='third', lease_until_ms=%d WHERE id=NEW.id; END`
	if testrig.Remote() {
		trigger = `CREATE FUNCTION third() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			UPDATE images SET lease_owner='third', lease_until_ms=%[2]d WHERE id=NEW.id; RETURN NULL; END $$;
			CREATE TRIGGER third AFTER UPDATE OF lease_owner ON images FOR EACH ROW WHEN (NEW.lease_owner='%[1]s') EXECUTE FUNCTION third()`
	}
	r.sqlf(t, trigger, r.Process, time.Now().Add(time.Minute).UnixMilli())
	list, err := r.Recover(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, list, 1)
	<-list[0].Done()
	assert.True(t, list[0].Image().Working())
	assert.Equal(t, resources.Submitted, r.image(t, left.ID).State)
}
