package resources

import "slices"

// Kind classifies a failure by what callers can do about it. Kinds are part of
// the contract with callers and do not change.
type Kind string

// The kinds of failure.
const (
	KindInvalidArgument Kind = "invalid_argument"
	KindNoAPIKey        Kind = "no_api_key"
	KindUnauthorized    Kind = "unauthorized"
	KindWrongRegion     Kind = "wrong_region"
	KindNoBalance       Kind = "no_balance"
	KindRateLimited     Kind = "rate_limited"
	KindQuota           Kind = "quota"
	KindContentBlocked  Kind = "content_blocked"
	KindBudgetExceeded  Kind = "budget_exceeded"
	KindUpstream        Kind = "upstream"
	KindOutcomeUnknown  Kind = "outcome_unknown"
	KindDownload        Kind = "download"
	KindStorage         Kind = "storage"
	KindNotFound        Kind = "not_found"
	KindCancelled       Kind = "cancelled"
	KindInternal        Kind = "internal"
)

// KindInfo describes a kind to users. Meaning and Remedy are Markdown without a
// final period.
type KindInfo struct {
	Kind      Kind
	Retryable bool // whether the same call may succeed later; the default of Failure.Retryable
	Meaning   string
	Remedy    string
}

// Kinds returns all kinds, the most frequent first.
func Kinds() []KindInfo {
	return []KindInfo{
		{KindNoAPIKey, false, "The program has no API key",
			"Put the key into the host's configuration of this server; a key set in your shell does not reach a host started from a menu"},
		{KindUnauthorized, false, "Z.AI rejected the key",
			"Use a key of the platform in use, or switch platforms with `--region china` or `--region global`"},
		{KindWrongRegion, false, "There is no image API at the configured address",
			"Check `--region` and `ZAI_BASE_URL`; the address of a Coding Plan serves no images"},
		{KindNoBalance, false, "The account has no balance, or its plan has no image models",
			"Recharge the account; waiting does not help"},
		{KindQuota, false, "A limit of the account's plan is reached",
			"Wait until the limit resets; the message says when"},
		{KindRateLimited, true, "Too many requests in a short time, or too many images waiting in this server",
			"Wait a minute. If Z.AI only has too many requests in flight, the image waits in the queue and does not fail"},
		{KindContentBlocked, false, "Z.AI's content filter rejected the prompt or the image",
			"Rephrase the prompt; nothing was charged"},
		{KindInvalidArgument, false, "An argument is not valid",
			"Use a value that the message lists as allowed"},
		{KindBudgetExceeded, false, "The image would exceed `--daily-budget`, or what `--quotas` allows its owner",
			"Raise the limit that the message names, or wait until midnight UTC; `images spend` shows what was spent"},
		{KindOutcomeUnknown, false, "No usable answer arrived, so the image may have been generated and billed",
			"Check your Z.AI account before calling again, which may cost twice"},
		{KindUpstream, false, "Z.AI reported an error of its own",
			"Repeat the call later; nothing was charged"},
		{KindDownload, true, "The image was generated and paid for, but could not be downloaded",
			"Call `get_image`, which is free; check whether a firewall blocks the image's host"},
		{KindStorage, true, "The folder or the catalog cannot be used",
			"Follow the message, which names the folder or file. An image is only paid for if its folder is writable and has 48 MB free"},
		{KindNotFound, false, "The owner has no image with this id",
			"Call `list_images` for the ids"},
		{KindCancelled, true, "The call was cancelled before its request was sent",
			"Repeat the call if you still want the image"},
		{KindInternal, false, "A defect in this program",
			"Search the log for the reference in the message"},
	}
}

// Retryable reports whether a call that failed with this kind may succeed later. It
// is the default of Failure.Retryable.
func (k Kind) Retryable() bool {
	return slices.ContainsFunc(Kinds(), func(info KindInfo) bool { return info.Kind == k && info.Retryable })
}

// Texts that failures of different origins share.
const (
	MessageFileChanged = "The image's file was changed, damaged or removed after it was saved."
	HintNotCharged     = "Nothing was charged; call again if the image is still wanted."
)

// NewFailure returns a failure that is retryable if its kind is.
func NewFailure(kind Kind, message, hint string) *Failure {
	return &Failure{Kind: kind, Message: message, Hint: hint, Retryable: kind.Retryable()}
}
