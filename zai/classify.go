package zai

import (
	"errors"
	"net/http"
)

// kindOfCode returns the kind for one of the vendor's business codes
// (docs.z.ai/api-reference/api-code, docs.bigmodel.cn/cn/api/api-code), "" for
// an unknown code. The code takes precedence over the HTTP status, because 429
// stands for many different conditions. retry reports whether a second request
// may succeed and cannot be billed twice.
func kindOfCode(code string) (kind Kind, retry bool) {
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

// responseError returns the error for a response without an image. The response
// may have any status: some failures are reported with 200.
func responseError(r *response) *Error {
	e := classify(r)
	if e.Kind == KindOutcomeUnknown {
		e.Answer = r.excerpt()
	}
	return e
}

// classify returns the error for a response without an image. It does not set
// Answer.
func classify(r *response) *Error {
	p, status := r.payload, r.status
	e := &Error{HTTPStatus: status, LogID: r.logID()}
	if r.parseErr != nil {
		e.Message = plainText(head(r.body, 64<<10))
		e.Kind, e.NotAccepted = kindOfStatus(status)
		e.cause = errors.New("the response is not JSON")
		return e
	}
	e.RequestID, e.ContentFilter = p.requestID, p.filter
	code, message, nested := p.errorText()
	e.Code, e.Message = code, message
	kind, retry := kindOfCode(code)
	switch {
	case status < 300 && !p.refused && (code == "" || p.success) && !present(p.fields["error"]):
		e.Kind = KindOutcomeUnknown
		if e.Message == "" {
			e.Message = "the response contains no image"
		}
	case isSoftNotFound(e):
		e.Kind, e.NotAccepted = KindWrongRegion, true
	case !nested && (status >= 500 || kind == KindUpstream):
		// Any gateway may send {"code":500}; only the service sends the nested form.
		e.Kind, e.NotAccepted = kindOfStatus(status)
	case kind != "":
		e.Kind, e.NotAccepted = kind, true
		e.tooManyInFlight = nested && status == http.StatusTooManyRequests && (code == "1302" || code == "1305")
		e.transient = retry && nested && (status == http.StatusTooManyRequests) == (kind == KindRateLimited) && status >= http.StatusTooManyRequests
	default:
		e.Kind, e.NotAccepted = kindOfStatus(status)
	}
	return e
}

// isSoftNotFound reports whether a response means that there is no API at the
// address: gateways respond with status 404, or with 200 and a 404 in the
// message.
func isSoftNotFound(e *Error) bool {
	if e.HTTPStatus == http.StatusNotFound && e.Code != "1211" {
		return true
	}
	return e.HTTPStatus < 300 && e.Message == "404 NOT_FOUND"
}

// errorText returns the code and the message of an error in any of the recorded
// forms: a nested object, a string, or flat fields. nested is true for the
// nested object, the only form that certainly comes from the service.
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

// kindOfStatus returns the kind for a response without a known code. A 5xx
// without the service's own error may come from a gateway while the service
// behind it still works on the request, so the outcome is unknown.
func kindOfStatus(status int) (kind Kind, notAccepted bool) {
	switch {
	case status == http.StatusRequestTimeout || status == http.StatusSeeOther || status < 300 || status >= 500:
		return KindOutcomeUnknown, false
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return KindUnauthorized, true
	case status == http.StatusNotFound || status < 400:
		return KindWrongRegion, true
	case status == http.StatusTooManyRequests:
		return KindRateLimited, true
	case status == http.StatusBadRequest:
		return KindInvalidArgument, true
	default:
		return KindUpstream, true
	}
}
