package jobs

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// make takes an image from its reservation to the library and returns its last
// row. Money and the row agree after every step.
//
// A request that the service refuses because too many are in flight was not
// accepted: the image goes back to the queue. It keeps its slot, as there is no
// room for the next one either.
func (p *Pipeline) make(j *Job) resources.Image {
	defer j.place.leave()
	j.enter(PhaseQueued)
	if row := j.Image(); row.State == resources.Queued {
		if row, ok := p.waitForSlot(j); !ok {
			return row
		}
	}
	for pause := p.BusyPause; ; pause = min(2*pause, maxBusyPause) {
		response, err := p.ask(j, j.Image())
		if service, ok := errors.AsType[*zai.Error](err); ok && service.TooManyInFlight() {
			if row, ok := p.requeue(j, max(pause, service.RetryAfter)); !ok {
				return row
			}
			continue
		}
		j.place.leave()
		return p.handleResponse(j, j.Image(), response, err)
	}
}

// requeue waits before the request is sent again. ok is false if the caller
// left or the row cannot be written: nothing is sent then.
func (p *Pipeline) requeue(j *Job, pause time.Duration) (row resources.Image, ok bool) {
	row = j.Image()
	row.State = resources.Queued
	if err := p.recordIf(row, resources.Submitted); err != nil {
		return p.fail(row, err), false
	}
	j.set(row)
	j.unsend()
	j.enter(PhaseQueued)
	p.Log.Info("waiting: the service has too many requests in flight", "id", row.ID, "model", row.Model, "pause", pause)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-j.queue.Done():
		return p.fail(row, j.queue.Err()), false
	}
	return p.submit(j)
}

// answered goes on with what the service said.
func (p *Pipeline) handleResponse(j *Job, row resources.Image, response *zai.ImageResponse, err error) resources.Image {
	if err != nil && row.TaskID != "" && p.base.Err() != nil {
		return p.release(row)
	}
	if err != nil {
		return p.fail(row, err)
	}
	row.State, row.Failure = resources.Answered, nil
	row.UpstreamURL, row.RequestID, row.LogID = response.Data[0].URL, response.RequestID, response.LogID
	row.ContentFilter = contentFilters(response.ContentFilter)
	_ = p.record(row) // a failure is logged; the image is paid for and fetched all the same
	j.set(row)
	return p.fetch(j, response.Data[0])
}

// remarks are the content check's, as a row keeps them.
func contentFilters(list []zai.ContentFilter) (kept []resources.ContentFilter) {
	for _, f := range list {
		kept = append(kept, resources.ContentFilter(f))
	}
	return kept
}

// ask sends the request, unless the image could not be saved, the caller left
// or the program ends: this is the last moment at which that costs nothing.
func (p *Pipeline) ask(j *Job, row resources.Image) (*zai.ImageResponse, error) {
	if err := p.Library.Prepare(j.base, p.lease(), row.CreatedAt); err != nil {
		return nil, err
	}
	if since := p.wallClock().Sub(j.submitted); since > p.Lease/2 { // a laptop slept, perhaps
		if err := p.recordIf(row, resources.Submitted); err != nil {
			return nil, err
		}
	}
	if !j.send() {
		return nil, ErrClosing
	}
	j.enter(PhaseGenerating)
	ctx, span := p.Tracer.Start(j.base, "zai images/generations", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("zai.model", row.Model), attribute.String("zai.size", row.Size)))
	defer span.End()
	response, err := p.request(ctx, j, row)
	if err != nil {
		span.SetStatus(codes.Error, string(Describe(err).Kind))
	}
	return response, err
}

// request has the image made: by a task that can be asked for again where
// there are such, else by one long request.
func (p *Pipeline) request(ctx context.Context, j *Job, row resources.Image) (*zai.ImageResponse, error) {
	request := zai.ImageRequest{Model: row.Model, Prompt: row.Prompt, Size: row.Size, Quality: row.Quality, UserID: row.UserID}
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
	row.TaskID, row.RequestID, row.LogID = task.ID, task.RequestID, task.LogID
	_ = p.record(row) // a failure is logged; this process knows the task
	j.set(row)
	return p.Client.Await(ctx, task.ID)
}

// waitForSlot waits in order until fewer requests are in flight. ok is false if
// the caller left or the row cannot be written: nothing is sent then.
func (p *Pipeline) waitForSlot(j *Job) (row resources.Image, ok bool) {
	select {
	case <-j.place.ready:
		return p.submit(j)
	case <-j.queue.Done():
		return p.fail(j.Image(), j.queue.Err()), false
	}
}

// submit writes that the request may be sent from now on.
func (p *Pipeline) submit(j *Job) (row resources.Image, ok bool) {
	row = j.Image()
	row.State, j.submitted = resources.Submitted, p.wallClock()
	if err := p.recordIf(row, resources.Queued); err != nil {
		return p.fail(row, err), false
	}
	j.set(row)
	return row, true
}

// notMade settles an image that there is not: free of charge when that is
// sure.
func (p *Pipeline) fail(row resources.Image, err error) resources.Image {
	row.State, row.Charged = resources.Failed, false
	if errors.Is(err, zai.KindOutcomeUnknown) {
		row.State, row.Charged = resources.Unknown, true
	}
	if service, ok := errors.AsType[*zai.Error](err); ok {
		row.ContentFilter = contentFilters(service.ContentFilter)
		row.RequestID, row.LogID = cmp.Or(service.RequestID, row.RequestID), cmp.Or(service.LogID, row.LogID)
		row.UpstreamAnswer = service.Answer
	}
	row.Failure = Describe(err)
	p.Log.Warn("no image", "id", row.ID, "kind", row.Failure.Kind, "state", string(row.State), "error", err)
	if errors.Is(p.record(row), resources.ErrSettled) {
		return p.reload(row)
	}
	if row.State == resources.Unknown && row.TaskID != "" {
		p.park(row, nextTry(p.Now(), row.CreatedAt)) // the service may tell later
	}
	return row
}

// newest is a row as the catalog has it.
func (p *Pipeline) reload(row resources.Image) resources.Image {
	if now, err := p.Library.Image(context.WithoutCancel(p.base), row.Owner, row.ID); err == nil {
		return now
	}
	return row
}

// settleLeft is notMade for a row of a process that died, unless it lives and
// went on.
func (p *Pipeline) failOrphan(row resources.Image, err error) resources.Image {
	was := row.State
	row.State, row.Charged, row.Failure = resources.Unknown, true, Describe(err)
	if was == resources.Queued {
		row.State, row.Charged = resources.Failed, false
	}
	switch err := p.recordIf(row, was); {
	case err == nil:
		p.Log.Warn("no image", "id", row.ID, "kind", row.Failure.Kind, "state", string(row.State))
	case errors.Is(err, errLeaseLost):
		return p.reload(row)
	}
	return row
}

// fetchAttempts is how often a download that broke off is begun again.
const fetchAttempts = 3

// fetch brings an image home that is paid for.
func (p *Pipeline) fetch(j *Job, data zai.ImageData) resources.Image {
	j.enter(PhaseDownloading)
	row := j.Image()
	var err error
	for range fetchAttempts {
		var saved resources.Image
		saved, err = p.download(j.base, row, data)
		if err == nil {
			p.Log.Info("image saved", "id", row.ID, "bytes", saved.Bytes) // its path has words of the prompt
			return saved
		}
		if errors.Is(err, resources.ErrNotFound) { // removed by the user meanwhile
			row.State, row.Failure = resources.Removed, Describe(err)
			return row
		}
		var final *zai.Error
		if p.base.Err() != nil || errors.As(err, &final) || errors.Is(err, resources.ErrStorage) {
			break // the client tried again already, or another download cannot help
		}
	}
	if p.base.Err() != nil && data.URL != "" {
		return p.release(row)
	}
	row.Failure = downloadFailure(err, row.ID, data.URL)
	p.Log.Error("a paid image is not saved", "id", row.ID, "kind", row.Failure.Kind, "error", err)
	if errors.Is(p.record(row), resources.ErrSettled) {
		return p.reload(row) // another process was luckier
	}
	p.park(row, nextTry(p.Now(), row.CreatedAt))
	return row
}

func (p *Pipeline) download(ctx context.Context, row resources.Image, data zai.ImageData) (resources.Image, error) {
	ctx, span := p.Tracer.Start(ctx, "zai image", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	picture, err := p.Client.Download(ctx, data)
	if err != nil {
		span.SetStatus(codes.Error, string(Describe(err).Kind))
		return row, err
	}
	defer picture.Close()
	return p.Library.Save(context.WithoutCancel(ctx), row, resources.Content{
		Reader: picture, MIMEType: picture.MIMEType, Extension: picture.Extension, Width: picture.Width, Height: picture.Height,
	})
}

// record writes a row even while the program ends. What the catalog does not
// take now is written later.
func (p *Pipeline) record(row resources.Image) error {
	p.writing.Lock()
	err := p.write(row)
	p.writing.Unlock()
	if err != nil && !errors.Is(err, resources.ErrSettled) {
		p.Log.Error("a step is not recorded", "id", row.ID, "state", string(row.State), "link", row.UpstreamURL, "error", err)
	}
	return err
}

// write is record while nothing else is recorded.
func (p *Pipeline) write(row resources.Image) error {
	err := p.Library.Record(context.WithoutCancel(p.base), row)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil || errors.Is(err, resources.ErrSettled) {
		delete(p.pendingWrites, row.ID)
	} else {
		p.pendingWrites[row.ID] = row
	}
	return err
}

// recordIf writes a row that is still in the given state and this process's.
func (p *Pipeline) recordIf(row resources.Image, was resources.State) error {
	err := p.Library.RecordIf(context.WithoutCancel(p.base), row, was, p.lease())
	if errors.Is(err, resources.ErrSettled) {
		return errLeaseLost
	}
	if err != nil {
		p.Log.Error("a step is not recorded", "id", row.ID, "state", string(row.State), "error", err)
	}
	return err
}

// catchUp writes what the catalog did not take before, of one row.
func (p *Pipeline) flushPending(id string) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	row, late := p.pendingWrites[id]
	p.mu.Unlock()
	if !late {
		return nil
	}
	if err := p.write(row); err != nil && !errors.Is(err, resources.ErrSettled) {
		return err
	}
	return nil
}

// catchUpAll is catchUp for all rows. The error is the first.
func (p *Pipeline) flushAllPending() error {
	p.mu.Lock()
	ids := slices.Collect(maps.Keys(p.pendingWrites))
	p.mu.Unlock()
	for _, id := range ids {
		if err := p.flushPending(id); err != nil {
			return err
		}
	}
	return nil
}
