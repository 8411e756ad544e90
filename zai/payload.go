package zai

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// payload is the decoded body of a response of the service, or of a gateway
// that uses a form of its own. The body is not decoded into a struct, so that
// an image that was paid for is not lost because some field has an unexpected
// type.
type payload struct {
	tree   any            // the JSON, as encoding/json represents it
	fields map[string]any // of the outermost object

	created                         int64
	filter                          []ContentFilter
	requestID, model, code, message string
	success, refused                bool // whether "success" is true, and whether it is false
}

var errNotObject = errors.New("the response is not a JSON object")

// parsePayload decodes a body. If the body is JSON but not an object, it fails
// and still returns the tree.
func parsePayload(body []byte) (payload, error) {
	tree, err := decodeJSON(body)
	if err != nil {
		return payload{}, err
	}
	p := payload{tree: tree, fields: object(tree)}
	if p.fields == nil {
		return p, errNotObject
	}
	p.requestID = identifier(p.text("request_id", "id"), 100)
	p.model = identifier(p.text("model"), 100)
	p.code = identifier(scalar(p.fields["code"]), 40)
	p.message = scalar(p.fields["msg"])
	if p.message == "" {
		p.message = scalar(p.fields["message"])
	}
	p.success, p.refused = scalar(p.fields["success"]) == "true", scalar(p.fields["success"]) == "false"
	p.created, _ = strconv.ParseInt(p.text("created"), 10, 64)
	for _, name := range []string{"content_filter", "contentFilter"} {
		if filter := contentFilters(p.fields[name]); len(filter) > 0 {
			p.filter = filter
		}
	}
	return p, nil
}

// largeBody is the size in bytes above which a response probably contains an
// inline image.
const largeBody = 1 << 20

// decodeJSON decodes the first JSON value of a text. A text larger than
// largeBody must have only one.
func decodeJSON(body []byte) (tree any, err error) {
	body = bytes.TrimPrefix(bytes.TrimSpace(body), []byte("\ufeff"))
	if len(body) > largeBody {
		err = json.Unmarshal(body, &tree) // a Decoder would make a copy
		return tree, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // ids may be 64-bit numbers, which float64 would round
	err = d.Decode(&tree)
	return tree, err
}

// object returns the outermost object of a tree, or the first one of a list.
func object(tree any) map[string]any {
	switch v := tree.(type) {
	case map[string]any:
		return v
	case []any:
		for _, element := range v {
			if o, ok := element.(map[string]any); ok {
				return o
			}
		}
	}
	return nil
}

// scalar returns a scalar, or the first one of a list, as text: codes and ids
// may be strings or numbers. It returns "" for other values.
func scalar(value any) string {
	switch v := value.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		for _, element := range v {
			if _, nested := element.([]any); nested {
				continue
			}
			if s := scalar(element); s != "" {
				return s
			}
		}
	}
	return ""
}

// text returns the first of the named fields that is not empty. It looks in the
// body, and in the objects "data" and "result" that gateways wrap around it.
func (p payload) text(names ...string) string {
	for _, fields := range []map[string]any{p.fields, object(p.fields["data"]), object(p.fields["result"])} {
		for _, name := range names {
			if s := scalar(fields[name]); s != "" {
				return s
			}
		}
	}
	return ""
}

func contentFilters(value any) (filter []ContentFilter) {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, element := range list {
		if o, ok := element.(map[string]any); ok && len(filter) < 10 {
			level, _ := strconv.Atoi(scalar(o["level"]))
			filter = append(filter, ContentFilter{Role: identifier(scalar(o["role"]), 40), Level: level})
		}
	}
	return filter
}

// reportsFailure reports whether a field of the response means that the request
// failed.
func (p payload) reportsFailure() bool {
	kind, _ := kindOfCode(p.code)
	return p.refused || present(p.fields["error"]) || kind != "" && !p.success
}

// present reports whether a value is set. Gateways have several forms for a
// missing value: null, "", "0", false, and empty lists and objects.
func present(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	default:
		s := scalar(v)
		return s != "" && s != "false" && s != "0"
	}
}

// maxLink is the longest image link that is accepted, in bytes.
const maxLink = 4 << 10

// image returns the image of a response. It looks in the service's own fields,
// then in those of similar APIs, and last for a link to an image file anywhere,
// if there is exactly one. fetchable reports whether a link may be requested;
// another link is returned only if there is nothing better, so that the user
// can try it.
func (p payload) image(fetchable func(link string) bool) (ImageData, bool) {
	found := imagesIn(p.tree, 0)
	if p.reportsFailure() {
		found = slices.DeleteFunc(found, func(d ImageData) bool { return d.B64JSON == "" && !isImageFileLink(d.URL) })
	}
	for _, fits := range []func(ImageData) bool{
		func(d ImageData) bool { return d.URL != "" && fetchable(d.URL) },
		func(d ImageData) bool { return d.B64JSON != "" },
		func(d ImageData) bool { return d.URL != "" },
	} {
		if at := slices.IndexFunc(found, fits); at >= 0 {
			return found[at], true
		}
	}
	if p.reportsFailure() {
		return ImageData{}, false
	}
	links := map[string]bool{}
	linksIn(p.tree, links)
	for link := range links {
		return ImageData{URL: link}, len(links) == 1
	}
	return ImageData{}, false
}

// imagesIn returns the images of a value in order of preference: the value
// itself, then the fields for images, the documented ones first.
func imagesIn(value any, depth int) (found []ImageData) {
	const deepest = 8
	switch v := value.(type) {
	case string:
		if d, ok := imageOf(v); ok {
			found = append(found, d)
		}
	case []any:
		for _, element := range v {
			if depth < deepest {
				found = append(found, imagesIn(element, depth+1)...)
			}
		}
	case map[string]any:
		if depth == deepest {
			return nil
		}
		for _, name := range []string{"url", "image_url"} {
			found = append(found, imagesIn(v[name], depth+1)...)
		}
		if inline, ok := v["b64_json"].(string); ok && inline != "" {
			found = append(found, ImageData{B64JSON: inline})
		}
		for i := range found {
			found[i].RevisedPrompt = scalar(v["revised_prompt"])
		}
		for _, name := range []string{"data", "image_result", "images", "image", "result", "output"} {
			found = append(found, imagesIn(v[name], depth+1)...)
		}
	}
	return found
}

// imageOf returns the image that a text stands for: a link, a data URL, or an
// image file in base64.
func imageOf(text string) (ImageData, bool) {
	text = strings.TrimSpace(text)
	if inline, ok := cutDataURL(text); ok {
		return ImageData{B64JSON: inline}, true
	}
	if len(text) <= maxLink {
		u, err := url.Parse(text)
		if err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
			return ImageData{URL: text}, true
		}
	}
	return ImageData{B64JSON: text}, isInlineImage(text)
}

// fileLink matches an https link within a text, including punctuation after it.
// Links are ASCII, even in Chinese text.
var fileLink = regexp.MustCompile(`https://[!#$%&*+,\-./0-9:;=?@A-Z_a-z~]+`)

// linksIn adds all links to image files that a value contains.
func linksIn(value any, links map[string]bool) {
	switch v := value.(type) {
	case string:
		if len(v) > largeBody {
			return
		}
		for _, link := range fileLink.FindAllString(v, -1) {
			link = strings.TrimRight(link, "!*,.:;?_~")
			if len(link) <= maxLink && isImageFileLink(link) {
				links[link] = true
			}
		}
	case []any:
		for _, element := range v {
			linksIn(element, links)
		}
	case map[string]any:
		for _, element := range v {
			linksIn(element, links)
		}
	}
}

// isImageFileLink reports whether the path of a link has the extension of an
// image.
func isImageFileLink(link string) bool {
	u, err := url.Parse(link)
	if err != nil {
		return false
	}
	return slices.Contains([]string{".png", ".jpg", ".jpeg", ".webp", ".gif"}, strings.ToLower(path.Ext(u.Path)))
}
