package jobs

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"zai-image-mcp/resources"
)

// ErrNoKey reports that there is no API key to generate images with.
var ErrNoKey = errors.New("no API key")

// ErrClosing reports that the program is shutting down and takes no new work.
var ErrClosing = errors.New("the program is shutting down")

// ErrManyCalls reports that too many calls are in progress.
var ErrManyCalls = errors.New("too many calls are in progress")

// ErrReadOnly reports that an owner may not generate images.
var ErrReadOnly = errors.New("the owner may not generate images")

// ErrCallCancelled reports that the caller of a tool cancelled its call.
var ErrCallCancelled = errors.New("the call was cancelled")

var (
	// errPanic is the error of a job that panicked.
	errPanic = errors.New("panic")
	// errUnanswered reports that the catalog did not answer a reservation.
	errUnanswered = errors.New("the catalog did not answer the reservation")
	// errLeft reports that a job leaves its image to the next process.
	errLeft = errors.New("left to the next process")
	// errLeaseLost reports that another process took over an image because this
	// one did not renew its lease.
	errLeaseLost = errors.New("lease lost to another process")
)

// Errors of images that cannot be finished because their process ended, one for
// each step at which it can end.
var (
	errEndedQueued    = errors.New("its process ended before the request was sent")
	errEndedSubmitted = errors.New("its process ended while the request was in flight")
	errEndedAnswered  = errors.New("its process ended before the image in the answer was saved")
)

// isOrphan reports whether err is one of these.
func isOrphan(err error) bool {
	return errors.Is(err, errEndedQueued) || errors.Is(err, errEndedSubmitted) || errors.Is(err, errEndedAnswered)
}

// unrecordedError reports that the file of an image is durable, but its row could
// not be written.
type unrecordedError struct {
	image resources.Image // as it has to be recorded
	err   error
}

func (e *unrecordedError) Error() string { return "saved, but not recorded: " + e.err.Error() }

// Unwrap returns the error of the catalog.
func (e *unrecordedError) Unwrap() error { return e.err }

// KeyError reports why the configured API key cannot be used and what to do. It
// matches ErrNoKey.
type KeyError struct{ Problem, Hint string } // one sentence each

func (e *KeyError) Error() string { return e.Problem + " " + e.Hint }

// Is reports whether target is ErrNoKey.
func (*KeyError) Is(target error) bool { return target == ErrNoKey }

// Failure describes the error for the caller.
func (e *KeyError) Failure() *resources.Failure {
	return resources.NewFailure(resources.KindNoAPIKey, e.Problem, e.Hint)
}

// InternalError reports a defect. Callers only get a reference to the log.
type InternalError struct{ Reference string }

func (e *InternalError) Error() string { return "internal error, reference " + e.Reference }

// Failure describes the error for the caller.
func (e *InternalError) Failure() *resources.Failure {
	f := internalFailure()
	f.Hint += " Reference " + e.Reference + "."
	return f
}

// BudgetError reports that an image would exceed the daily budget of its owner.
type BudgetError struct {
	SpentUSD, PriceUSD, BudgetUSD float64
	AskOperator                   bool // users of the server cannot change the budget
	Resets                        time.Time
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("daily budget: %.3f of %.3f US dollars spent", e.SpentUSD, e.BudgetUSD)
}

// Failure describes the error for the caller.
func (e *BudgetError) Failure() *resources.Failure {
	hint := fmt.Sprintf("Ask the user to raise --daily-budget (ZAI_IMAGE_DAILY_BUDGET), or wait until it resets at %s.", e.Resets.Format(time.RFC3339))
	if e.AskOperator {
		hint = askOperator(e.Resets)
	}
	return resources.NewFailure(resources.KindBudgetExceeded,
		fmt.Sprintf("The daily budget does not cover this image: $%.3f of $%s has been spent today, and the image costs $%.3f.",
			e.SpentUSD, dollars(e.BudgetUSD), e.PriceUSD),
		hint)
}

// dollars returns an amount with two decimals, or more if it has a fraction of a cent.
func dollars(usd float64) string {
	rounded := strconv.FormatFloat(usd, 'f', 2, 64)
	if exact := strconv.FormatFloat(usd, 'f', -1, 64); len(exact) > len(rounded) {
		return exact
	}
	return rounded
}

// askOperator returns the hint about a limit that users of a server cannot change.
func askOperator(resets time.Time) string {
	return fmt.Sprintf("Wait until it resets at %s, or ask who runs this server to raise it.", resets.Format(time.RFC3339))
}

// DailyImagesError reports that an owner has as many images as it may have on a UTC day.
type DailyImagesError struct {
	Limit  int
	Resets time.Time
}

func (e *DailyImagesError) Error() string { return fmt.Sprintf("daily limit of %d images", e.Limit) }

// Failure describes the error for the caller.
func (e *DailyImagesError) Failure() *resources.Failure {
	return resources.NewFailure(resources.KindBudgetExceeded,
		fmt.Sprintf("The daily limit of %d images is reached.", e.Limit),
		askOperator(e.Resets))
}
