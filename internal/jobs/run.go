package jobs

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// run generates and saves a reserved image and returns its final state. After
// every step the catalog agrees with what was paid.
//
// A request that the service rejects because too many are in flight was not
// accepted: the image becomes queued again. It keeps its slot, because a
// request for the next image would be rejected too.
func (p *Pipeline) run(j *Job) resources.Image {
	defer j.ticket.release()
	j.enter(PhaseQueued)
	if j.Image().State == resources.Queued {
		if i, ok := p.waitForSlot(j); !ok {
			return i
		}
	}
	for pause := p.BusyPause; ; pause = min(2*pause, p.maxPause()) {
		response, err := p.generate(j)
		if service, ok := errors.AsType[*zai.Error](err); ok && service.TooManyInFlight() && j.Image().TaskID == "" {
			if i, ok := p.requeue(j, min(max(pause, service.RetryAfter), p.maxPause())); !ok {
				return i
			}
			continue
		}
		j.ticket.release()
		return p.handleResponse(j, response, err)
	}
}

// waitForSlot waits for a slot and records that the request may be sent. If the
// job was abandoned or the step cannot be recorded, ok is false and i is the
// failed image.
func (p *Pipeline) waitForSlot(j *Job) (i resources.Image, ok bool) {
	queue := j.queueContext()
	select {
	case <-j.ticket.ready:
		return p.submit(j)
	case <-queue.Done():
		return p.fail(j.Image(), queue.Err()), false
	}
}

// maxBusyPauses is the longest pause between requests, as a multiple of the
// first.
const maxBusyPauses = 30

// maxPause returns the longest pause after a rejection for too many requests in
// flight. It also limits what the service asks for, because the image keeps its
// slot during the pause and another rejection is free.
func (p *Pipeline) maxPause() time.Duration { return maxBusyPauses * p.BusyPause }

// requeue records that the image is queued again, and after the pause that its
// request may be sent again. If the job was abandoned or a step cannot be
// recorded, ok is false and i is the failed image.
func (p *Pipeline) requeue(j *Job, pause time.Duration) (i resources.Image, ok bool) {
	i = j.Image()
	i.State = resources.Queued
	if err := p.recordIf(i, resources.Submitted); err != nil {
		return p.fail(i, err), false
	}
	j.set(i)
	j.unmarkSent()
	j.enter(PhaseQueued)
	p.Log.Info("delaying a request: too many are in flight", "id", i.ID, "model", i.Model, "pause", pause)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	queue := j.queueContext()
	select {
	case <-timer.C:
		return p.submit(j)
	case <-queue.Done():
		return p.fail(i, queue.Err()), false
	}
}

// submit records that the request may be sent from now on.
func (p *Pipeline) submit(j *Job) (i resources.Image, ok bool) {
	i = j.Image()
	i.State, j.submitted = resources.Submitted, p.wallClock()
	if err := p.recordIf(i, resources.Queued); err != nil {
		return p.fail(i, err), false
	}
	j.set(i)
	return i, true
}

// generate sends the request, unless an image could not be saved now, the job
// was abandoned, its lease was lost or the program is shutting down. After
// that, giving up is no longer free.
func (p *Pipeline) generate(j *Job) (*zai.ImageResponse, error) {
	i := j.Image()
	if err := p.Library.Prepare(j.base, p.lease(), i.CreatedAt); err != nil {
		return nil, err
	}
	if age := p.wallClock().Sub(j.submitted); age > p.Lease/2 { // the machine may have been suspended and the lease lost
		if err := p.recordIf(i, resources.Submitted); err != nil {
			return nil, err
		}
	}
	if !j.markSent() {
		return nil, ErrClosing
	}
	j.enter(PhaseGenerating)
	ctx, span := p.Tracer.Start(j.base, "zai images/generations", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("zai.model", i.Model), attribute.String("zai.size", i.Size)))
	defer span.End()
	response, err := p.send(ctx, j)
	if err != nil {
		span.SetStatus(codes.Error, string(Describe(err).Kind))
	}
	return response, err
}

// send submits a task and polls for its result, or sends one long request for
// models without tasks.
func (p *Pipeline) send(ctx context.Context, j *Job) (*zai.ImageResponse, error) {
	i := j.Image()
	request := zai.ImageRequest{Model: i.Model, Prompt: i.Prompt, Size: i.Size, Quality: i.Quality, UserID: i.UserID}
	task, err := p.Client.Submit(ctx, request)
	if errors.Is(err, zai.ErrNoAsync) {
		return p.Client.GenerateImage(ctx, request)
	}
	if err != nil {
		return nil, err
	}
	if task.Response != nil {
		return task.Response, nil
	}
	i.TaskID, i.RequestID, i.LogID = task.ID, task.RequestID, task.LogID
	_ = p.record(i) // a failure is logged; the id is still in memory
	j.set(i)
	return p.Client.Await(ctx, task.ID)
}

// handleResponse downloads the image of a response, or records the error. If
// this process is cut off while it polls a task, the image is left to the next
// one.
func (p *Pipeline) handleResponse(j *Job, response *zai.ImageResponse, err error) resources.Image {
	i := j.Image()
	if err != nil && i.TaskID != "" && p.base.Err() != nil {
		return p.release(i)
	}
	if err != nil {
		return p.fail(i, err)
	}
	i.State, i.Failure = resources.Answered, nil
	i.UpstreamURL, i.RequestID, i.LogID = response.Data[0].URL, response.RequestID, response.LogID
	i.ContentFilter = contentFilters(response.ContentFilter)
	_ = p.record(i) // a failure is logged; the image is paid for, so it is downloaded anyway
	j.set(i)
	return p.fetch(j, response.Data[0])
}

// contentFilters converts the API's content filter results to the catalog's
// form.
func contentFilters(list []zai.ContentFilter) (converted []resources.ContentFilter) {
	for _, f := range list {
		converted = append(converted, resources.ContentFilter(f))
	}
	return converted
}

// fail records that no image was made. It releases the money unless the request
// may have been billed.
func (p *Pipeline) fail(i resources.Image, err error) resources.Image {
	i.State, i.Charged = resources.Failed, false
	if errors.Is(err, zai.KindOutcomeUnknown) {
		i.State, i.Charged = resources.Unknown, true
	}
	if service, ok := errors.AsType[*zai.Error](err); ok {
		i.ContentFilter = contentFilters(service.ContentFilter)
		i.RequestID, i.LogID = cmp.Or(service.RequestID, i.RequestID), cmp.Or(service.LogID, i.LogID)
		i.UpstreamAnswer = service.Answer
	}
	i.Failure = Describe(err)
	p.Log.Warn("failed to generate an image", "id", i.ID, "kind", string(i.Failure.Kind), "state", string(i.State), "error", err)
	if errors.Is(p.record(i), resources.ErrSettled) {
		return p.reload(i)
	}
	if i.State == resources.Unknown && i.TaskID != "" {
		p.park(i, nextTry(p.Now(), i.CreatedAt)) // the service may report the result later
	}
	return i
}
