package zai

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// ImageRequest describes an image in the body of POST {base}/images/generations.
// Only fields that are set are sent
// (docs.z.ai/api-reference/image/generate-image).
type ImageRequest struct {
	Model   string `json:"model"`
	Prompt  string `json:"prompt"`
	Quality string `json:"quality,omitempty"`
	Size    string `json:"size,omitempty"`    // WIDTHxHEIGHT in pixels
	UserID  string `json:"user_id,omitempty"` // 6 to 128 characters
}

// Limits of the texts of a request, in characters. The API documents only those
// of UserID; MaxPrompt protects against callers that send far too much.
const (
	MinUserID = 6
	MaxUserID = 128
	MaxPrompt = 10_000
)

// prepared returns the normalized request and its model. It fails if the model
// does not accept the request or is not available in the region.
func (r ImageRequest) prepared(region Region) (ImageRequest, Model, error) {
	model, err := FindModel(region, r.Model)
	if err != nil {
		return r, model, err
	}
	r.Model = model.ID
	if err := CheckTexts(r.Prompt, r.UserID); err != nil {
		return r, model, err
	}
	if r.Size != "" {
		r.Size = NormalizeSize(r.Size)
		if err := model.CheckSize(r.Size); err != nil {
			return r, model, err
		}
	}
	if r.Quality != "" {
		if err := model.CheckQuality(r.Quality); err != nil {
			return r, model, err
		}
	}
	if len(model.Qualities) == 0 {
		r.Quality = ""
	}
	return r, model, nil
}

// CheckTexts fails if the prompt or the id of the end user, which is optional,
// has too few or too many characters. The error is an *Error of kind
// KindInvalidArgument.
func CheckTexts(prompt, userID string) error {
	if strings.TrimSpace(prompt) == "" {
		return invalidArgument("prompt is empty", "Describe the image in the prompt.")
	}
	if n := utf8.RuneCountInString(prompt); n > MaxPrompt {
		return invalidArgument(fmt.Sprintf("prompt has %d characters, more than %d", n, MaxPrompt), "Shorten the prompt.")
	}
	if n := utf8.RuneCountInString(userID); userID != "" && (n < MinUserID || n > MaxUserID) {
		return invalidArgument(fmt.Sprintf("user_id has %d characters", n), fmt.Sprintf("Use %d to %d characters or leave user_id out.", MinUserID, MaxUserID))
	}
	return nil
}

// ImageResponse is the response to a successful request. Every field except
// Data may be empty.
type ImageResponse struct {
	Created       int64       // Unix seconds
	Data          []ImageData // exactly one element
	ContentFilter []ContentFilter
	Model         string
	RequestID     string
	LogID         string // header x-log-id
}

// ImageData is one image: a link that expires, or the file itself as base64.
type ImageData struct {
	URL           string // at most 4 KiB
	B64JSON       string
	RevisedPrompt string
}

// ContentFilter is one result of the vendor's content check. Level 0 is the
// most severe, 3 the least.
type ContentFilter struct {
	Role  string // user, assistant or history
	Level int
}
