package zai

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind sorts failures by what the caller can do about them. A Kind is an error
// itself, so that errors.Is(err, zai.KindNoBalance) works on every *Error.
type Kind string

// The kinds this package reports.
const (
	KindInvalidArgument Kind = "invalid_argument" // the request cannot work as it is
	KindUnauthorized    Kind = "unauthorized"     // key or account refused
	KindWrongRegion     Kind = "wrong_region"     // the base URL is not this API
	KindNoBalance       Kind = "no_balance"       // money is needed
	KindRateLimited     Kind = "rate_limited"     // too much at once, later it works
	KindQuota           Kind = "quota"            // a plan's or day's limit is used up
	KindContentBlocked  Kind = "content_blocked"  // refused by the content check
	KindUpstream        Kind = "upstream"         // the service failed and says so
	KindOutcomeUnknown  Kind = "outcome_unknown"  // may have been made and billed
	KindDownload        Kind = "download"         // made, but not fetched
	KindCancelled       Kind = "cancelled"        // given up before anything was sent
)

// Error makes a Kind usable as target of errors.Is.
func (k Kind) Error() string { return string(k) }

// Error is every failure of this package.
type Error struct {
	Kind          Kind
	HTTPStatus    int    // 0 when no answer came
	Code          string // the vendor's business code, "" when none came
	Message       string // the vendor's words or ours; without markup and capped, untrusted
	Hint          string // what to do, when more is known than the kind tells
	RequestID     string
	LogID         string // header x-log-id: the model service was reached
	ContentFilter []ContentFilter
	RetryAfter    time.Duration // from the header, 0 when absent
	URL           string        // image link of a failed download, "" when it is too long to be one

	// Answer is the beginning of an answer that was not understood, up to 4 KB,
	// without the key. It is untrusted; the link to an image that was paid for
	// may be in it.
	Answer string

	// NotAccepted is set when the service provably did not take the request:
	// sending it again cannot bill twice.
	NotAccepted bool

	transient       bool // the client itself may try again
	tooManyInFlight bool
	cause           error
}

// Error gives the whole story in one line, for logs.
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

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

func invalidArgument(message, hint string) *Error {
	return &Error{Kind: KindInvalidArgument, Message: message, Hint: hint, NotAccepted: true}
}

// kindOfCode maps the vendor's business codes
// (docs.z.ai/api-reference/api-code, docs.bigmodel.cn/cn/api/api-code). The
// code decides before the HTTP status does: 429 stands for nine different
// things. The second result says that a repeat may help and cannot bill twice.
func kindOfCode(code string) (kind Kind, again bool) {
	switch code {
	case "401", "1000", "1001", "1002", "1003", "1004", "1100", "1110", "1111", "1112", "1121", "1220":
		return KindUnauthorized, false
	case "1221", "1222":
		return KindWrongRegion, false
	case "1113":
		return KindNoBalance, false
	case "1302", "1303", "1305", "1312":
		return KindRateLimited, true
	case "1304", "1308", "1309", "1310", "1311", "1313", "1314", "1315", "1316", "1317", "1318", "1319", "1320", "1321":
		return KindQuota, false
	case "1300", "1301":
		return KindContentBlocked, false
	case "1210", "1211", "1212", "1213", "1214", "1215", "1261":
		return KindInvalidArgument, false
	case "500", "1120", "1230", "1234":
		return KindUpstream, true
	case "1200", "1231":
		return KindUpstream, false
	default:
		return "", false
	}
}

// responseError turns an answer without an image into an error. It is called for
// every status, as some failures come with 200.
func responseError(r *response) *Error {
	e := classify(r)
	if e.Kind == KindOutcomeUnknown {
		e.Answer = r.excerpt()
	}
	return e
}

func classify(r *response) *Error {
	status := r.status
	e := &Error{HTTPStatus: status, LogID: r.logID()}
	p, err := parsePayload(r.body)
	if err != nil {
		e.Message = plainText(head(r.body, 64<<10))
		e.Kind, e.NotAccepted = kindOfStatus(status)
		e.cause = errors.New("the answer is not JSON")
		return e
	}
	e.RequestID, e.ContentFilter = p.requestID, p.filter
	code, message, nested := p.errorText()
	e.Code, e.Message = code, message
	kind, again := kindOfCode(code)
	switch {
	case status < 300 && !p.refused && (code == "" || p.success) && !present(p.fields["error"]):
		e.Kind = KindOutcomeUnknown
		if e.Message == "" {
			e.Message = "the answer holds no image"
		}
	case isSoftNotFound(e):
		e.Kind, e.NotAccepted = KindWrongRegion, true
	case !nested && (status >= 500 || kind == KindUpstream):
		// Any gateway may say {"code":500}; only the nested form is the service's own word.
		e.Kind, e.NotAccepted = kindOfStatus(status)
	case kind != "":
		e.Kind, e.NotAccepted = kind, true
		e.tooManyInFlight = nested && status == http.StatusTooManyRequests && (code == "1302" || code == "1305")
		e.transient = again && nested && (status == http.StatusTooManyRequests) == (kind == KindRateLimited) && status >= http.StatusTooManyRequests
	default:
		e.Kind, e.NotAccepted = kindOfStatus(status)
	}
	return e
}

// isSoftNotFound recognizes how the gateways say that no API lives at the
// address: with status 200 and a 404 in the text, or as plain 404.
func isSoftNotFound(e *Error) bool {
	if e.HTTPStatus == http.StatusNotFound && e.Code != "1211" {
		return true
	}
	return e.HTTPStatus < 300 && e.Message == "404 NOT_FOUND"
}

// errorText finds code and message in all recorded forms: nested object,
// plain string, flat fields. The third result tells the nested form, which is
// the only one that surely comes from the service.
func (p payload) errorText() (code, message string, nested bool) {
	if plain, ok := p.fields["error"].(string); ok && plain != "" {
		return p.code, plainText(plain), false
	}
	if inner, ok := p.fields["error"].(map[string]any); ok {
		code, message = identifier(scalar(inner["code"]), 40), plainText(scalar(inner["message"]))
		if code != "" || message != "" {
			return code, message, true
		}
	}
	return p.code, plainText(p.message), false
}

// kindOfStatus judges an answer without a known code. A 5xx without the
// service's own error may come from a gateway in front of a service that went
// on working: the outcome is unknown.
func kindOfStatus(status int) (kind Kind, notAccepted bool) {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return KindUnauthorized, true
	case status == http.StatusNotFound || status >= 300 && status < 400:
		return KindWrongRegion, true
	case status == http.StatusTooManyRequests:
		return KindRateLimited, true
	case status == http.StatusRequestTimeout || status < 400 || status >= 500:
		return KindOutcomeUnknown, false
	case status == http.StatusBadRequest:
		return KindInvalidArgument, true
	default:
		return KindUpstream, true
	}
}

// TooManyInFlight reports that the service, in its own words, refused the
// request because too many are in flight, codes 1302 and 1305. It was surely
// not accepted and costs nothing. The client does not try it again: whoever
// limits what is in flight knows better when there is room.
func (e *Error) TooManyInFlight() bool { return e.tooManyInFlight && e.NotAccepted }

// Transient reports whether the failure tends to pass by itself within seconds
// or minutes, so that a later call may succeed.
func (e *Error) Transient() bool {
	return e.transient || e.Kind == KindRateLimited || e.Kind == KindDownload
}
