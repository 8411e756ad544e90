package jobs

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// run takes a reserved image to its end. After every step the catalog agrees with
// what was paid.
func (p *Pipeline) run(j *Job) error {
	if err := p.waitForSlot(j); err != nil {
		return err
	}
	response, err := p.generate(j)
	if err != nil {
		return err
	}
	return p.fetch(j, response)
}

// waitForSlot waits until the catalog has given the image a slot. Its row is then
// "submitted".
func (p *Pipeline) waitForSlot(j *Job) error {
	defer j.queue.leave(j)
	j.enter(PhaseQueued)
	patience := j.waiting()
	select {
	case <-j.granted:
		i := j.Image()
		i.State = resources.Submitted
		j.set(i) // the catalog has written the row
		return nil
	case <-patience.Done():
		return patience.Err()
	}
}

// maxBusyPauses is the longest pause between requests, as a multiple of the
// first.
const maxBusyPauses = 30

// maxPause returns the longest pause after a rejection for too many requests in
// flight. It also limits what the service asks for, because the image keeps its
// slot during the pause and another rejection is free.
func (p *Pipeline) maxPause() time.Duration { return maxBusyPauses * p.BusyPause }

// generate sends the request until the service does not reject it because too
// many are in flight, which costs nothing. Between the requests the image is
// queued again. It keeps its slot, because a request for the next image would be
// rejected too.
func (p *Pipeline) generate(j *Job) (*zai.ImageResponse, error) {
	for pause := p.BusyPause; ; pause = min(2*pause, p.maxPause()) {
		response, err := p.request(j)
		service, ok := errors.AsType[*zai.Error](err)
		if !ok || !service.TooManyInFlight() || j.Image().State != resources.Submitted {
			return response, err
		}
		if err := p.requeue(j, min(max(pause, service.RetryAfter), p.maxPause())); err != nil {
			return nil, err
		}
	}
}

// requeue records that the image is queued again, and after the pause that its
// request may be sent again.
func (p *Pipeline) requeue(j *Job, pause time.Duration) error {
	j.unmarkSent()
	if err := p.step(j, PhaseQueued, p.ifState(resources.Submitted), to(resources.Queued)); err != nil {
		return err
	}
	p.Log.Info("delaying a request: too many are in flight", "id", j.id, "model", j.Image().Model, "pause", pause)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	patience := j.waiting()
	select {
	case <-timer.C:
	case <-patience.Done():
		return patience.Err()
	}
	j.submitted = p.wallClock()
	return p.step(j, unchanged, p.ifState(resources.Queued), to(resources.Submitted))
}

// to returns a change of the state.
func to(s resources.State) func(*resources.Image) {
	return func(i *resources.Image) { i.State = s }
}

// request sends the request, unless an image could not be saved now, the job was
// abandoned, its lease was lost or the program is shutting down. After that,
// giving up is no longer free.
func (p *Pipeline) request(j *Job) (*zai.ImageResponse, error) {
	i := j.Image()
	if err := p.Library.Prepare(j.base, i.CreatedAt); err != nil {
		return nil, err
	}
	if age := p.wallClock().Sub(j.submitted); age < 0 || age > p.Lease/2 { // the machine may have been suspended and the lease lost
		if err := p.step(j, unchanged, p.ifState(resources.Submitted), to(resources.Submitted)); err != nil {
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
	// A failure is logged; the id is still in memory.
	_ = p.step(j, unchanged, p.always(), func(i *resources.Image) {
		i.State, i.TaskID, i.RequestID, i.LogID = resources.Polling, task.ID, task.RequestID, task.LogID
	})
	return p.Client.Await(ctx, task.ID)
}

// fetch records that the image was generated and downloads it.
func (p *Pipeline) fetch(j *Job, response *zai.ImageResponse) error {
	// A failure is logged; the image is paid for, so it is downloaded anyway.
	_ = p.step(j, PhaseDownloading, p.always(), func(i *resources.Image) {
		i.State, i.Failure = resources.Answered, nil
		i.UpstreamURL, i.RequestID, i.LogID = response.Data[0].URL, response.RequestID, response.LogID
		i.ContentFilter = contentFilters(response.ContentFilter)
	})
	return p.download(j, response.Data[0])
}

// contentFilters converts the API's content filter results to the catalog's
// form.
func contentFilters(list []zai.ContentFilter) (converted []resources.ContentFilter) {
	for _, f := range list {
		converted = append(converted, resources.ContentFilter(f))
	}
	return converted
}

// downloadAttempts is how often a download is started if it is interrupted.
const downloadAttempts = 3

// download downloads and saves an image. It fails with an *unrecordedError if only
// its row could not be written.
func (p *Pipeline) download(j *Job, data zai.ImageData) error {
	i := j.Image()
	var err error
	for range downloadAttempts {
		var saved resources.Image
		if saved, err = p.save(j.base, i, data); err == nil {
			j.set(saved)                                                   // Save has written the row
			p.Log.Info("saved an image", "id", i.ID, "bytes", saved.Bytes) // not its path, which contains words of the prompt
			return nil
		}
		if saved.State == resources.Saved {
			return &unrecordedError{saved, err}
		}
		var final *zai.Error
		if p.base.Err() != nil || errors.As(err, &final) || errors.Is(err, resources.ErrStorage) || errors.Is(err, resources.ErrNotFound) {
			break // the client retried already, or another download cannot help
		}
	}
	return err
}

func (p *Pipeline) save(ctx context.Context, i resources.Image, data zai.ImageData) (resources.Image, error) {
	ctx, span := p.Tracer.Start(ctx, "zai image", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	content, err := p.Client.Download(ctx, data)
	if err != nil {
		span.SetStatus(codes.Error, string(Describe(err).Kind))
		return i, err
	}
	defer content.Close()
	return p.Library.Save(context.WithoutCancel(ctx), i, resources.Content{
		Reader: content, MIMEType: content.MIMEType, Extension: content.Extension, Width: content.Width, Height: content.Height,
	}, p.Process)
}
