package zai

import (
	"fmt"
	"strings"
	"time"
)

// Kind classifies failures by what the caller can do about them. A Kind is an
// error itself, so that errors.Is(err, zai.KindNoBalance) works on every
// *Error.
type Kind string

// The kinds this package reports.
const (
	KindInvalidArgument Kind = "invalid_argument" // the request cannot succeed as it is
	KindUnauthorized    Kind = "unauthorized"     // the key or the account is refused
	KindWrongRegion     Kind = "wrong_region"     // the base URL does not serve this API
	KindNoBalance       Kind = "no_balance"       // the account needs money
	KindRateLimited     Kind = "rate_limited"     // too many requests; a later one may succeed
	KindQuota           Kind = "quota"            // the limit of a plan or a day is reached
	KindContentBlocked  Kind = "content_blocked"  // refused by the content check
	KindUpstream        Kind = "upstream"         // the service reports that it failed
	KindOutcomeUnknown  Kind = "outcome_unknown"  // the image may have been made and billed
	KindDownload        Kind = "download"         // the image was made, but not downloaded
	KindCancelled       Kind = "cancelled"        // cancelled before anything was sent
)

// Error implements error.
func (k Kind) Error() string { return string(k) }

// Error is the error type of this package.
type Error struct {
	Kind          Kind
	HTTPStatus    int    // 0 without a response
	Code          string // the vendor's business code, "" without one
	Message       string // from the vendor or from this package; short, without markup, untrusted
	Hint          string // what to do; "" stands for the hint of the kind
	RequestID     string
	LogID         string // header x-log-id, "" if the request did not reach the model service
	ContentFilter []ContentFilter
	RetryAfter    time.Duration // from the header of that name, 0 without one
	URL           string        // image link of a failed download, "" if it is too long

	// Answer is the beginning of a response that was not understood, at most
	// 4 KiB, without the key. It is untrusted. It may contain the link to an
	// image that was paid for.
	Answer string

	// NotAccepted is set if the service provably did not accept the request, so
	// that sending it again cannot bill twice.
	NotAccepted bool

	transient       bool // the client may send the request again
	tooManyInFlight bool
	cause           error
}

// Error returns kind, status, code, message, ids and cause in one line, for
// logs.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("zai: " + string(e.Kind))
	if e.HTTPStatus != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.HTTPStatus)
	}
	if e.Code != "" {
		b.WriteString(" code " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	if e.LogID != "" {
		b.WriteString(" (log " + e.LogID + ")")
	}
	if e.cause != nil {
		b.WriteString(": " + clip(e.cause.Error(), 500))
	}
	return b.String()
}

// Is reports whether target is this error's Kind.
func (e *Error) Is(target error) bool {
	kind, ok := target.(Kind)
	return ok && kind == e.Kind
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

func invalidArgument(message, hint string) *Error {
	return &Error{Kind: KindInvalidArgument, Message: message, Hint: hint, NotAccepted: true}
}

// TooManyInFlight reports whether the service itself refused the request
// because too many are in flight (codes 1302 and 1305). Such a request was
// certainly not accepted and costs nothing. The client does not send it again,
// because the caller decides how many requests are in flight and when to send
// the next one.
func (e *Error) TooManyInFlight() bool { return e.tooManyInFlight && e.NotAccepted }

// Transient reports whether a retry within minutes may succeed.
func (e *Error) Transient() bool {
	return e.transient || e.Kind == KindRateLimited || e.Kind == KindDownload
}
