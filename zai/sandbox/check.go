package sandbox

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// rule describes the requests that the service accepts for a model. It
// duplicates the client's table on purpose, so that tests find mistakes in
// either of them.
type rule struct {
	divisor, maxPixels int
	defaultSize        string
	qualities          []string
	maxConcurrent      int // in flight at the same time
}

func rules() map[string]rule {
	cogview := rule{divisor: 16, maxPixels: 1 << 21, defaultSize: "1024x1024", qualities: []string{"", "standard", "hd"}, maxConcurrent: 5}
	return map[string]rule{
		"cogview-4-250304": cogview, "cogview-4": cogview, "cogview-3-flash": cogview,
		"glm-image": {divisor: 32, maxPixels: 1 << 22, defaultSize: "1280x1280", qualities: []string{"", "hd"}, maxConcurrent: 1},
	}
}

// check returns the service's error code and message for an invalid request. It
// sets the defaults of a valid one.
func (r *request) check(async bool) (code, message string) {
	rule, known := rules()[strings.ToLower(r.Model)]
	switch {
	case r.Model == "":
		return "1213", "The parameter model was not received normally."
	case !known:
		return "1211", "Unknown Model, please check the model code."
	case async && !strings.HasPrefix(r.Model, "glm"):
		return "1212", "The current model does not support the async call method."
	case strings.TrimSpace(r.Prompt) == "":
		return "1214", "Input cannot be empty"
	case utf8.RuneCountInString(r.Prompt) > 32_000:
		return "1261", "Prompt exceeds max length"
	case r.UserID != "" && (utf8.RuneCountInString(r.UserID) < 6 || utf8.RuneCountInString(r.UserID) > 128):
		return "1214", "The user_id parameter is invalid"
	case !slices.Contains(rule.qualities, r.Quality):
		return "1214", "The quality parameter is invalid"
	}
	if r.Size == "" {
		r.Size = rule.defaultSize
	}
	w, h := r.pixels()
	if min(w, h) < 512 || max(w, h) > 2048 || w%rule.divisor != 0 || h%rule.divisor != 0 || w*h > rule.maxPixels {
		return "1214", "The size parameter is invalid"
	}
	return "", ""
}

// pixels returns the width and height of the size. A value that is not a number
// is returned as zero.
func (r *request) pixels() (width, height int) {
	ws, hs, _ := strings.Cut(r.Size, "x")
	width, _ = strconv.Atoi(ws)
	height, _ = strconv.Atoi(hs)
	return width, height
}
