package zai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ImageRequest is the body of POST {base}/images/generations. Only fields that
// are set are sent (docs.z.ai/api-reference/image/generate-image).
type ImageRequest struct {
	Model   string `json:"model"`
	Prompt  string `json:"prompt"`
	Quality string `json:"quality,omitempty"`
	Size    string `json:"size,omitempty"`    // WIDTHxHEIGHT in pixels
	UserID  string `json:"user_id,omitempty"` // 6 to 128 characters
}

// Limits of the request's texts, in characters. The API states a limit for
// UserID only; MaxPrompt keeps a runaway caller from sending novels.
const (
	MinUserID = 6
	MaxUserID = 128
	MaxPrompt = 10_000
)

// prepared returns the request as it is sent, with its names normalized and
// checked against the model of the region.
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

// CheckTexts checks the free texts of a request: the prompt and the optional
// end user's id. The error is an *Error of kind KindInvalidArgument.
func CheckTexts(prompt, userID string) error {
	if strings.TrimSpace(prompt) == "" {
		return invalid("prompt is empty", "Describe the picture in the prompt.")
	}
	if n := utf8.RuneCountInString(prompt); n > MaxPrompt {
		return invalid(fmt.Sprintf("prompt has %d characters, more than %d", n, MaxPrompt), "Shorten the prompt.")
	}
	if n := utf8.RuneCountInString(userID); userID != "" && (n < MinUserID || n > MaxUserID) {
		return invalid(fmt.Sprintf("user_id has %d characters", n), fmt.Sprintf("Use %d to %d characters or leave user_id out.", MinUserID, MaxUserID))
	}
	return nil
}

// ImageResponse is what a successful call answers. Every field but one picture
// in Data may be missing.
type ImageResponse struct {
	Created       int64 // Unix seconds
	Data          []ImageData
	ContentFilter []ContentFilter
	Model         string
	RequestID     string
	LogID         string // header x-log-id
}

// ImageData is one picture: a link that dies, or the bytes themselves.
type ImageData struct {
	URL           string `json:"url"`
	B64JSON       string `json:"b64_json"`
	RevisedPrompt string `json:"revised_prompt"`
}

// ContentFilter is a remark of the vendor's content check. Level 0 is the most
// severe, 3 the least.
type ContentFilter struct {
	Role  string `json:"role"` // user, assistant or history
	Level int    `json:"level"`
}

// UnmarshalJSON accepts the level as number or string; both were recorded.
func (c *ContentFilter) UnmarshalJSON(b []byte) error {
	var raw struct {
		Role  flexString `json:"role"`
		Level flexString `json:"level"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	c.Role = clip(string(raw.Role), 40)
	c.Level, _ = strconv.Atoi(string(raw.Level))
	return nil
}

// flexString takes any JSON scalar as text and anything else as nothing: codes
// come as strings and as numbers.
type flexString string

func (s *flexString) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0 || bytes.Equal(b, []byte("null")) || b[0] == '{' || b[0] == '[':
		return nil
	case b[0] == '"':
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		*s = flexString(text)
	default:
		*s = flexString(b)
	}
	return nil
}

// oneOrMany takes a list, or a single object in its place.
type oneOrMany[T any] []T

func (l *oneOrMany[T]) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || bytes.Equal(b, []byte("null")) {
		return nil
	}
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(l))
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*l = oneOrMany[T]{one}
	return nil
}

// wireAnswer holds every field that any recorded answer carried, good or bad.
type wireAnswer struct {
	created                         int64
	data                            []ImageData
	filter                          []ContentFilter
	requestID, model, code, message string
	errorField                      json.RawMessage
	refused                         bool // "success": false
}

// decodeAnswer reads an answer field by field, so that one of an unexpected
// form does not hide the others. The error means that it is no JSON object.
func decodeAnswer(body []byte) (wireAnswer, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return wireAnswer{}, err
	}
	text := func(names ...string) string {
		for _, name := range names {
			var s flexString
			if json.Unmarshal(orNull(fields[name]), &s) == nil && s != "" {
				return string(s)
			}
		}
		return ""
	}
	w := wireAnswer{
		requestID:  clip(text("request_id", "id"), 100),
		model:      clip(text("model"), 100),
		code:       clip(text("code"), 40),
		message:    text("msg", "message"),
		errorField: fields["error"],
		refused:    text("success") == "false",
	}
	w.created, _ = strconv.ParseInt(text("created"), 10, 64)
	var data oneOrMany[ImageData]
	if json.Unmarshal(orNull(fields["data"]), &data) == nil {
		w.data = data
	}
	for _, name := range []string{"content_filter", "contentFilter"} {
		var filter oneOrMany[ContentFilter]
		if json.Unmarshal(orNull(fields[name]), &filter) == nil && len(filter) > 0 {
			w.filter = filter[:min(len(filter), 10)]
		}
	}
	return w, nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}
