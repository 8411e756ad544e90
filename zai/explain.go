package zai

import (
	"fmt"
	"strings"
)

// Explain returns what went wrong and what to do about it, each in one or two
// sentences. They do not contain the key. The only text from outside is the
// vendor's short message, code and request id.
func (e *Error) Explain() (message, hint string) {
	message, hint = e.describe()
	if e.Hint != "" {
		hint = e.Hint
	}
	if details := e.details(); details != "" && !strings.Contains(message, e.Message) {
		message += details
	}
	return message + ".", hint
}

// details returns the HTTP status, code and request id, which support asks for,
// and the vendor's message in quotes.
func (e *Error) details() string {
	var parts []string
	if e.HTTPStatus != 0 && e.HTTPStatus != 200 {
		parts = append(parts, fmt.Sprintf("HTTP %d", e.HTTPStatus))
	}
	if e.Code != "" {
		parts = append(parts, "code "+e.Code)
	}
	if e.RequestID != "" {
		parts = append(parts, "request "+e.RequestID)
	}
	quoted := ""
	if e.Message != "" {
		quoted = fmt.Sprintf(": “%s”", strings.TrimRight(e.Message, ". 。"))
	}
	if len(parts) == 0 {
		return quoted
	}
	return " (" + strings.Join(parts, ", ") + ")" + quoted
}

// describe returns the message and the hint of the kind.
func (e *Error) describe() (message, hint string) {
	switch e.Kind {
	case KindInvalidArgument:
		if e.HTTPStatus == 0 {
			return e.Message, "Correct the argument and call again."
		}
		return "Z.AI did not accept the request", "Change the prompt, size or model as the message says and call again."
	case KindUnauthorized:
		return "Z.AI refused the API key or the account", "Check ZAI_API_KEY and the region; a key works only on the platform that issued it."
	case KindWrongRegion:
		return "There is no Z.AI image API at the configured address", "Check --region and ZAI_BASE_URL."
	case KindNoBalance:
		return "The Z.AI account has no balance left for images", "Ask the user to recharge the account, or to check that the key and the base URL belong to a plan that includes image models; calling again does not help before that."
	case KindRateLimited:
		return "Z.AI is busy or limits the number of concurrent requests", "Wait a minute and call again, with fewer images at a time."
	case KindQuota:
		return "A usage limit of the Z.AI account is reached", "Wait until the limit resets or ask the user to change the plan."
	case KindContentBlocked:
		return "Z.AI's content check refused " + e.blockedPart(), "Rephrase the prompt without the sensitive part and call again; the same prompt is refused again."
	case KindOutcomeUnknown:
		return "Z.AI gave no usable answer, so the image may have been made and billed", "The request was not sent again. Tell the user before you repeat the call, as that may cost a second time."
	case KindDownload:
		return "The image was made and paid for, but fetching it failed", "Call get_image with its id to fetch it again free of charge."
	case KindCancelled:
		return "The call was cancelled before anything was sent", "Nothing was charged; call again if the image is still wanted."
	default:
		return "Z.AI failed to make the image", "Call again later; nothing was charged for this attempt."
	}
}

// blockedPart returns what the content check refused.
func (e *Error) blockedPart() string {
	for _, f := range e.ContentFilter {
		if f.Role == "assistant" {
			return "the image that was made"
		}
	}
	return "the prompt"
}
