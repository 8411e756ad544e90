package jobs

import (
	"context"
	"errors"
	"fmt"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// description is what callers see of an error: its kind, a sentence about what
// went wrong, and one about what to do.
type description struct {
	err           error
	kind          resources.Kind
	message, hint string
}

// descriptions returns the descriptions of errors that carry no details.
func descriptions() []description {
	const (
		notSent      = "The call was cancelled before its request was sent."
		maybeBilled  = "The program ended while this image was being generated, so it may have been generated and billed."
		notSentAgain = "The request was not sent again. Tell the user before you repeat the call, which may cost a second time."
	)
	return []description{
		{ErrClosing, resources.KindCancelled, notSent, resources.HintNotCharged},
		{context.Canceled, resources.KindCancelled, notSent, resources.HintNotCharged},
		{context.DeadlineExceeded, resources.KindCancelled, notSent, resources.HintNotCharged},
		{errLeaseLost, resources.KindCancelled, "This program was suspended for so long that another one took the image over.", resources.HintNotCharged},
		{errUnanswered, resources.KindCancelled, "The catalog failed before the request for this image was sent.", resources.HintNotCharged},
		{errEndedQueued, resources.KindCancelled, "The program ended before the request for this image was sent.", resources.HintNotCharged},
		{errEndedSubmitted, resources.KindOutcomeUnknown, maybeBilled, notSentAgain},
		{errEndedAnswered, resources.KindOutcomeUnknown, maybeBilled, notSentAgain},
		{ErrBusy, resources.KindRateLimited, "Too many images are waiting already.", "Nothing was charged; wait for the images in progress, then call again."},
		{ErrManyCalls, resources.KindRateLimited, "Too many calls are in progress.", "Nothing was charged; wait for some of them, then call again."},
		{ErrReadOnly, resources.KindBudgetExceeded, "This user may see images on this server, but not generate any.",
			"To generate images, ask who runs this server. The other tools work."},
		{ErrNoKey, resources.KindNoAPIKey, "No Z.AI API key is configured.",
			"Ask the user to set the environment variable ZAI_API_KEY (or ZAI_API_KEY_FILE) in the host's configuration of this server; " +
				"keys are created at https://z.ai/manage-apikey/apikey-list. To try without a key, start the server with --sandbox."},
		{resources.ErrNotFound, resources.KindNotFound, "There is no image with this id.", "Call list_images to see which images there are."},
	}
}

// describer is an error whose failure contains its details.
type describer interface {
	error
	Failure() *resources.Failure
}

// Describe returns what callers see of an error. All errors become failures
// through Describe. An unknown error becomes an internal failure without its
// text, which may contain secrets.
func Describe(err error) *resources.Failure {
	if service, ok := errors.AsType[*zai.Error](err); ok {
		message, hint := service.Explain()
		return &resources.Failure{Kind: resources.Kind(service.Kind), Message: message, Hint: hint, Retryable: service.Transient()}
	}
	if described, ok := errors.AsType[describer](err); ok {
		return described.Failure()
	}
	switch {
	case errors.Is(err, ErrCallCancelled):
		return notRetryable(resources.NewFailure(resources.KindCancelled, "The call was cancelled.", fmt.Sprintf(
			"Images whose request was sent are finished and kept: the same call made again within %d minutes returns them. Nothing else was charged.",
			int(rejoinWindow.Minutes()))))
	case errors.Is(err, resources.ErrCorrupt):
		return notRetryable(resources.NewFailure(resources.KindStorage, resources.MessageFileChanged,
			"Call get_image with its id: as long as Z.AI keeps the image, it is fetched again free of charge."))
	}
	for _, d := range descriptions() {
		if errors.Is(err, d.err) {
			return resources.NewFailure(d.kind, d.message, d.hint)
		}
	}
	if storage, ok := errors.AsType[*resources.StorageError](err); ok {
		return resources.NewFailure(resources.KindStorage,
			fmt.Sprintf("The image library cannot be used: %s %s: %s.", storage.Part, storage.Path, storage.Reason()), storage.Advice())
	}
	if errors.Is(err, resources.ErrStorage) {
		return resources.NewFailure(resources.KindStorage, "The image library cannot be used.",
			"Ask the user to run `zai-image-mcp doctor`, which names the cause, then call again.")
	}
	return internalFailure()
}

func notRetryable(f *resources.Failure) *resources.Failure {
	f.Retryable = false
	return f
}

func internalFailure() *resources.Failure {
	return resources.NewFailure(resources.KindInternal, "Something went wrong inside the image server.",
		"Call once more; if it happens again, tell the user to look at the server's log.")
}

// paid begins the description of an image that is paid for but not saved.
const paid = "The image was generated and paid for, but "

// unrecordedFailure describes an image without a link whose file is saved, but
// not its row in the catalog.
func unrecordedFailure(err error, id string) *resources.Failure {
	f := Describe(err)
	f.Kind, f.Retryable = resources.KindStorage, true
	f.Message = paid + "the catalog could not be written after its file was saved. " + f.Message
	f.Hint = "Ask the user to solve this, then call get_image with id " + id + ", which is free of charge."
	return f
}

// downloadFailure describes why an image that was paid for is not saved. url is
// its link, or "" if the response contained the image.
func downloadFailure(err error, id, url string) *resources.Failure {
	f := Describe(err)
	advice := ""
	if f.Kind == resources.KindStorage {
		advice = f.Hint + " "
		f.Message = paid + "it could not be saved. " + f.Message
	} else {
		f.Kind, f.Message = resources.KindDownload, paid+"its download failed."
	}
	f.Retryable = url != ""
	if url == "" {
		f.Hint = advice + "Z.AI's response contained the image, so it cannot be fetched again. Tell the user before you call again: a new image costs again."
		return f
	}
	f.Hint = advice + "Call get_image with id " + id + " to fetch it again free of charge; for some days it is also at " + url + "."
	return f
}
