package jobs

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// fetchAttempts is how often a download is started if it is interrupted.
const fetchAttempts = 3

// fetch downloads and saves an image that is paid for. If that fails, it
// records the failure and parks the image until the next attempt.
func (p *Pipeline) fetch(j *Job, data zai.ImageData) resources.Image {
	j.enter(PhaseDownloading)
	i := j.Image()
	var saved resources.Image
	var err error
	for range fetchAttempts {
		saved, err = p.download(j.base, i, data)
		if err == nil {
			p.Log.Info("saved an image", "id", i.ID, "bytes", saved.Bytes) // not its path, which contains words of the prompt
			return saved
		}
		if errors.Is(err, resources.ErrNotFound) { // the user removed it meanwhile
			i.State, i.Failure = resources.Removed, Describe(err)
			return i
		}
		var final *zai.Error
		if p.base.Err() != nil || errors.As(err, &final) || errors.Is(err, resources.ErrStorage) {
			break // the client retried already, or another download cannot help
		}
	}
	if p.base.Err() != nil && data.URL != "" {
		return p.release(i)
	}
	i.Failure = downloadFailure(err, i.ID, data.URL)
	unrecorded := saved.State == resources.Saved // the file is durable, but its row could not be written
	if unrecorded && data.URL == "" {
		i.Failure = unrecordedFailure(err, i.ID)
	}
	p.Log.Error("failed to save a paid image", "id", i.ID, "kind", string(i.Failure.Kind), "error", err)
	if errors.Is(p.record(i), resources.ErrSettled) {
		return p.reload(i) // another process saved it
	}
	if unrecorded {
		p.recordLater(saved)
	}
	p.park(i, nextTry(p.Now(), i.CreatedAt))
	return i
}

func (p *Pipeline) download(ctx context.Context, i resources.Image, data zai.ImageData) (resources.Image, error) {
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
	})
}
