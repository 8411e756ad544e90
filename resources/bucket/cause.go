package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"

	"zai-image-mcp/resources"
)

// problem classifies the errors of requests.
type problem int

const (
	other problem = iota
	noCredentials
	badCredentials
	expired
	denied
	noBucket
	noObject
	otherRegion
	unreachable
	overloaded
	altered // the content was changed on the way
	clockWrong
	conditionFailed // the object exists
	unsupported
	tooLarge
)

// cause is why a request failed. Its text has no names of objects, which contain words
// of prompts, no addresses and no secrets.
type cause struct {
	problem problem
	code    string // of the service, or the words of the operating system
	err     error
}

var _ resources.Explained = (*cause)(nil)

// Error implements error.
func (c *cause) Error() string { return c.Reason() }

// Unwrap returns the error of the request.
func (c *cause) Unwrap() error { return c.err }

// Reason implements resources.Explained.
func (c *cause) Reason() string {
	text := explanations(c.problem)[0]
	if c.code != "" {
		text += " (" + c.code + ")"
	}
	return text
}

// Advice implements resources.Explained.
func (c *cause) Advice(place string) string {
	return strings.ReplaceAll(explanations(c.problem)[1], "PLACE", place)
}

// repeatable reports whether the same request may succeed later.
func (c *cause) repeatable() bool {
	return c.problem == unreachable || c.problem == overloaded || c.problem == altered || c.problem == expired
}

// explanations returns the reason and the advice of a problem.
func explanations(p problem) [2]string {
	return map[problem][2]string{
		noCredentials: {
			"there are no credentials for it",
			"Ask the user to set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for this program, or to give it a role that may use the PLACE, then call again.",
		},
		badCredentials:  {"its credentials are not valid", "Ask the user to check the AWS credentials of this program, then call again."},
		expired:         {"its credentials have expired", "Ask the user to renew the AWS credentials of this program, then call again."},
		denied:          {"access is denied", "Ask the user to allow this program to list the PLACE and to read, write and delete its objects, then call again."},
		noBucket:        {"there is no such bucket", "Ask the user to create the PLACE, or to name another one with --store, then call again."},
		noObject:        {"there is no such object", "Ask the user to check the PLACE, then call again."},
		otherRegion:     {"it is in another region", "Ask the user to correct the parameter region in --store, then call again."},
		unreachable:     {"the service does not respond", "Call again in a minute; if that fails too, ask the user to check the network and the parameter endpoint in --store."},
		overloaded:      {"the service is overloaded or has an error", "Call again in a minute."},
		altered:         {"the content was changed on the way", "Ask the user to check the network between this program and the PLACE, then call again."},
		clockWrong:      {"the clock of this machine differs from that of the service", "Ask the user to set the clock of this machine, then call again."},
		conditionFailed: {"another object has this name", "Ask the user to run `zai-image-mcp images check`."},
		unsupported:     {"the service does not implement a request", "Ask the user to choose another S3 service for the PLACE."},
		tooLarge:        {"the content is larger than 64 MiB", "Ask the user to save this file elsewhere."},
		other:           {"the service refused a request", "Ask the user to check the PLACE, then call again."},
	}[p]
}

// causeOf classifies the error of a request.
func causeOf(err error) *cause {
	if c, ok := errors.AsType[*cause](err); ok {
		return c
	}
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok && answer.StatusCode != 0 {
		return &cause{answerProblem(answer), answerCode(answer), err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &cause{unreachable, "timeout", err}
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL
	}
	network, isNetwork := errors.AsType[*net.OpError](err)
	switch {
	case isNetwork:
		return &cause{unreachable, network.Err.Error(), err}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &cause{unreachable, "the connection was closed", err}
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return &cause{unreachable, lookup.Err, err}
	}
	return &cause{unreachable, fmt.Sprintf("%T", err), err}
}

// answerProblem classifies an answer of the service.
func answerProblem(e minio.ErrorResponse) problem {
	switch e.Code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "InvalidToken", "InvalidClientTokenId", "XAdminUserNotFound":
		return badCredentials
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return expired
	case "AccessDenied", "AllAccessDisabled", "AccountProblem":
		return denied
	case "NoSuchBucket":
		return noBucket
	case "NoSuchKey", "NoSuchUpload":
		return noObject
	case "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidRegion":
		return otherRegion
	case "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest", "IncompleteBody", "ContentSHA256Mismatch":
		return altered
	case "RequestTimeTooSkewed":
		return clockWrong
	case "PreconditionFailed":
		return conditionFailed
	case "NotImplemented":
		return unsupported
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded", "InternalError",
		"ServiceUnavailable", "ConditionalRequestConflict", "OperationAborted":
		return overloaded
	}
	switch status := e.StatusCode; {
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return denied
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect:
		return otherRegion
	case status == http.StatusPreconditionFailed:
		return conditionFailed
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		return overloaded
	}
	return other
}

// answerCode returns the code of an answer if it is a plain word. Messages of services
// may contain the names of objects.
func answerCode(e minio.ErrorResponse) string {
	plain := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' }
	const longest = 48
	if e.Code != "" && len(e.Code) <= longest && strings.IndexFunc(e.Code, func(r rune) bool { return !plain(r) }) < 0 {
		return e.Code
	}
	return fmt.Sprintf("status %d", e.StatusCode)
}
