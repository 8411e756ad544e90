package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Kinds of failure beside those of package zai. All are part of the contract
// with callers and do not change.
const (
	KindNoAPIKey       = "no_api_key"
	KindBudgetExceeded = "budget_exceeded"
	KindStorage        = "storage"
	KindNotFound       = "not_found"
	KindInternal       = "internal"
)

// ErrNoKey says that images cannot be asked for, as there is no API key.
var ErrNoKey = errors.New("no API key")

// KeyError says why the API key that is set cannot be used, and what to do. It
// is an ErrNoKey.
type KeyError struct{ Problem, Hint string } // a sentence each

func (e *KeyError) Error() string { return e.Problem + " " + e.Hint }

// Is implements the interface of errors.Is.
func (*KeyError) Is(target error) bool { return target == ErrNoKey }

// ErrClosing says that the program ends and takes no new work.
var ErrClosing = errors.New("the program is ending")

// ErrManyCalls says that too many calls are under way already.
var ErrManyCalls = errors.New("too many calls are under way")

// What a process that ended left behind.
var (
	errTaken         = errors.New("another process took this one for dead, and the row with it")
	errLeftQueued    = errors.New("its process ended before the image was asked for")
	errLeftSubmitted = errors.New("its process ended while the image was asked for")
	errLeftInside    = errors.New("its process ended before the image of the answer was saved")
)

// InternalError is a defect of which the caller gets nothing but a reference
// to the log.
type InternalError struct{ Reference string }

func (e *InternalError) Error() string { return "internal error, reference " + e.Reference }

// BudgetError says that an image would exceed the daily budget.
type BudgetError struct {
	SpentUSD, PriceUSD, BudgetUSD float64
	Resets                        time.Time
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("daily budget: %.3f of %.3f US dollars spent", e.SpentUSD, e.BudgetUSD)
}

func (e *BudgetError) describe() *resources.Failure {
	return &resources.Failure{
		Kind: KindBudgetExceeded,
		Message: fmt.Sprintf("The daily budget is used up: $%.3f of $%.2f are spent today and this image costs $%.3f.",
			e.SpentUSD, e.BudgetUSD, e.PriceUSD),
		Hint: fmt.Sprintf("Ask the user to raise --daily-budget (ZAI_IMAGE_DAILY_BUDGET), or wait until it resets at %s.",
			e.Resets.Format(time.RFC3339)),
	}
}

// Describe puts any error into words for the caller. It is the one place where
// errors turn into kinds; what it does not know is internal, and its text is
// not shown.
func Describe(err error) *resources.Failure {
	var (
		service *zai.Error
		budget  *BudgetError
		storage *resources.StorageError
	)
	switch {
	case errors.As(err, &service):
		return describeService(service)
	case errors.As(err, &budget):
		return budget.describe()
	case errors.Is(err, ErrClosing), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &resources.Failure{Kind: string(zai.KindCancelled), Retryable: true, Message: "The call was cancelled before anything was sent.", Hint: "Nothing was charged; call again if the image is still wanted."}
	case errors.Is(err, errTaken):
		return &resources.Failure{
			Kind: string(zai.KindCancelled), Retryable: true,
			Message: "This program stood still for so long that another one took the image for left behind.", Hint: "Nothing was charged; call again if the image is still wanted.",
		}
	case errors.Is(err, errLeftQueued):
		return &resources.Failure{
			Kind: string(zai.KindCancelled), Retryable: true,
			Message: "The program ended before this image was asked for.", Hint: "Nothing was charged; call again if the image is still wanted.",
		}
	case errors.Is(err, errLeftSubmitted), errors.Is(err, errLeftInside):
		return &resources.Failure{
			Kind:    string(zai.KindOutcomeUnknown),
			Message: "The program ended while this image was being made, so it may have been made and billed.",
			Hint:    "It was not asked for again. Tell the user before you repeat the call, as that may cost a second time.",
		}
	case errors.Is(err, ErrBusy):
		return tooMany("Too many images are waiting to be made already.", "wait for the ones under way")
	case errors.Is(err, ErrManyCalls):
		return tooMany("Too many calls are under way.", "wait for some of them")
	case errors.Is(err, ErrNoKey):
		return describeNoKey(err)
	case errors.Is(err, resources.ErrNotFound):
		return &resources.Failure{Kind: KindNotFound, Message: "There is no image with this id.", Hint: "Call list_images to see which images there are."}
	case errors.Is(err, resources.ErrCorrupt):
		return &resources.Failure{
			Kind: KindStorage, Message: "The image's file was changed, damaged or removed after it was saved.",
			Hint: "Call get_image with its id: as long as Z.AI keeps the image, it is fetched again free of charge.",
		}
	case errors.As(err, &storage):
		return &resources.Failure{
			Kind: KindStorage, Retryable: true, Hint: storage.Advice(),
			Message: fmt.Sprintf("The image library cannot be used: %s %s: %s.", storage.Part, storage.Path, storage.Reason()),
		}
	case errors.Is(err, resources.ErrStorage):
		return &resources.Failure{
			Kind: KindStorage, Retryable: true, Message: "The image library cannot be used.",
			Hint: "Ask the user to run `zai-image-mcp doctor`, which names the cause, then call again.",
		}
	default:
		f := &resources.Failure{Kind: KindInternal, Message: "Something went wrong inside the image server.", Hint: "Call once more; if it happens again, tell the user to look at the server's log."}
		if internal, ok := errors.AsType[*InternalError](err); ok {
			f.Hint += " Reference " + internal.Reference + "."
		}
		return f
	}
}

func describeNoKey(err error) *resources.Failure {
	if unusable, ok := errors.AsType[*KeyError](err); ok {
		return &resources.Failure{Kind: KindNoAPIKey, Message: unusable.Problem, Hint: unusable.Hint}
	}
	return &resources.Failure{
		Kind:    KindNoAPIKey,
		Message: "No Z.AI API key is configured.",
		Hint: "Ask the user to set the environment variable ZAI_API_KEY (or ZAI_API_KEY_FILE) in the host's configuration of this server; " +
			"keys are made at https://z.ai/manage-apikey/apikey-list. To try without a key, start the server with --sandbox.",
	}
}

func tooMany(message, todo string) *resources.Failure {
	return &resources.Failure{Kind: string(zai.KindRateLimited), Retryable: true, Message: message, Hint: "Nothing was charged; " + todo + ", then call again."}
}

func describeService(e *zai.Error) *resources.Failure {
	message, hint := e.Explain()
	return &resources.Failure{Kind: string(e.Kind), Message: message, Hint: hint, Retryable: e.Transient()}
}

// lost describes an image that is paid for but not saved.
func downloadFailure(err error, id, url string) *resources.Failure {
	f := Describe(err)
	advice := ""
	if f.Kind == KindStorage {
		advice = f.Hint + " "
		f.Message = "The image was made and paid for, but it could not be saved. " + f.Message
	} else {
		f.Kind = string(zai.KindDownload)
		f.Message = "The image was made and paid for, but fetching it failed."
	}
	if url == "" {
		f.Retryable = false
		f.Hint = advice + "The image came inside Z.AI's answer and cannot be fetched again; tell the user before another call, which costs again."
		return f
	}
	f.Retryable = true
	f.Hint = advice + "Call get_image with id " + id + " to fetch it again free of charge; for some days it is also at " + url + "."
	return f
}
