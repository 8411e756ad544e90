package tools

import (
	"context"
	"time"

	"zai-image-mcp/internal/jobs"
)

// waitEnd returns when a call that begins now stops waiting for its images.
func (t *tools) waitEnd() time.Time { return time.Now().Add(t.Wait) }

// await waits until all jobs are done, the time is end, the pipeline detaches
// its callers, or ctx ends. Only in the last case it abandons the jobs and
// returns an error.
func (t *tools) await(ctx context.Context, call *jobs.Call, end time.Time, progress *progressReporter) error {
	defer progress.settle()
	limit := time.NewTimer(time.Until(end))
	defer limit.Stop()
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	for _, job := range call.Jobs {
		for waiting := true; waiting; {
			select {
			case <-job.Done():
				waiting = false
			case <-heartbeat.C:
				progress.heartbeat(call.Jobs)
			case stage := <-progress.stages:
				progress.stageChanged(stage, call.Jobs)
			case <-limit.C:
				return nil
			case <-t.Pipeline.Detached():
				return nil
			case <-ctx.Done():
				call.Abandon()
				return jobs.ErrCallCancelled
			}
		}
	}
	return nil
}
