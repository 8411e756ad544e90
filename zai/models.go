package zai

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Qualities of images.
const (
	Standard = "standard"
	HD       = "hd"
)

// Model describes an image model. Validation, the descriptions of the tools and
// the list of models for agents use the same table.
type Model struct {
	ID          string
	Regions     []Region
	Summary     string // strengths of the model, for agents and users
	DefaultSize string
	Sizes       []RecommendedSize
	CustomSizes SizeRule // sizes other than the recommended ones
	// Qualities are the accepted values of quality, the default first. If there
	// are none, the model has no such parameter and the field must not be sent.
	Qualities []string
	PriceUSD  float64 // per image (docs.z.ai pricing; the yuan prices are no higher)
	// TypicalDurations is how long an image takes, by quality. The key is "" for
	// models without qualities.
	TypicalDurations map[string]time.Duration
	// Async is set if the asynchronous endpoint supports the model.
	Async bool
	// MaxConcurrent is the number of requests, including unfinished tasks, that
	// an account may have in flight. The service refuses more with code 1302, see
	// Error.TooManyInFlight.
	MaxConcurrent int
}

// RecommendedSize is a size that the vendor lists. Category is a short name of
// its purpose, and Use describes it.
type RecommendedSize struct {
	Size, Category, Use string
}

// SizeRule limits sizes other than the recommended ones. Each side must be
// between Min and Max and divisible by Divisor. All values are in pixels.
type SizeRule struct {
	Min, Max, Divisor, MaxPixels int
}

func cogviewSizes() []RecommendedSize {
	return []RecommendedSize{
		{"1024x1024", "square", "square: icons, avatars, products"},
		{"768x1344", "phone", "tall: phone wallpaper, story"},
		{"864x1152", "poster", "portrait 3:4: poster, book cover"},
		{"1344x768", "slide", "wide 7:4: slide, banner, desktop"},
		{"1152x864", "illustration", "landscape 4:3: illustration"},
		{"1440x720", "header", "wide 2:1: page header"},
		{"720x1440", "infographic", "tall 1:2: infographic"},
	}
}

func glmSizes() []RecommendedSize {
	return []RecommendedSize{
		{"1280x1280", "square", "square: icons, avatars, products"},
		{"1568x1056", "photo", "landscape 3:2: photo"},
		{"1056x1568", "poster", "portrait 2:3: poster"},
		{"1472x1088", "illustration", "landscape 4:3: illustration"},
		{"1088x1472", "book cover", "portrait 3:4: book cover"},
		{"1728x960", "slide", "wide 9:5: slide, banner, desktop"},
		{"960x1728", "phone", "tall 5:9: phone wallpaper, story"},
	}
}

// models returns the table of all models.
//
// MaxConcurrent of cogview-4-250304 and glm-image is from the vendor's page of
// rate limits (z.ai/manage-apikey/rate-limits, after login). The vendor
// publishes no number for the models of region China only; the value of
// cogview-4-250304 is assumed. Sizes and prices are from docs.z.ai/guides/image
// and the image generation pages of docs.bigmodel.cn. These pages contradict
// each other on the smallest side of glm-image: 1024 would exclude two of their
// own recommended sizes. The service accepts 512.
func models() []Model {
	cogview := SizeRule{Min: 512, Max: 2048, Divisor: 16, MaxPixels: 1 << 21}
	return []Model{
		{
			ID: "cogview-4-250304", Regions: []Region{Global, China},
			Summary:     "fast and cheap, strong with Chinese and English text in the picture",
			DefaultSize: "1024x1024", Sizes: cogviewSizes(), CustomSizes: cogview,
			Qualities: []string{Standard, HD}, PriceUSD: 0.01,
			TypicalDurations: map[string]time.Duration{Standard: 8 * time.Second, HD: 20 * time.Second},
			MaxConcurrent:    5,
		},
		{
			ID: "glm-image", Regions: []Region{Global, China},
			Summary:     "most detail, best with long text, posters and diagrams; slow",
			DefaultSize: "1280x1280", Sizes: glmSizes(),
			CustomSizes: SizeRule{Min: 512, Max: 2048, Divisor: 32, MaxPixels: 1 << 22},
			Qualities:   []string{HD}, PriceUSD: 0.015,
			TypicalDurations: map[string]time.Duration{HD: 45 * time.Second}, Async: true,
			MaxConcurrent: 1,
		},
		{
			ID: "cogview-4", Regions: []Region{China},
			Summary:     "the newest CogView-4",
			DefaultSize: "1024x1024", Sizes: cogviewSizes(), CustomSizes: cogview, PriceUSD: 0.01,
			TypicalDurations: map[string]time.Duration{"": 8 * time.Second},
			MaxConcurrent:    5,
		},
		{
			ID: "cogview-3-flash", Regions: []Region{China},
			Summary:     "free, simple pictures",
			DefaultSize: "1024x1024", Sizes: cogviewSizes(), CustomSizes: cogview, PriceUSD: 0,
			TypicalDurations: map[string]time.Duration{"": 8 * time.Second},
			MaxConcurrent:    5,
		},
	}
}

// Models returns the models of a region, the default model first.
func Models(region Region) []Model {
	return slices.DeleteFunc(models(), func(m Model) bool { return !slices.Contains(m.Regions, region) })
}

// DefaultModel is the id of the first model of every region. This package does
// not apply it: requests must name a model.
const DefaultModel = "cogview-4-250304"

// FindModel returns the model with the given id. It ignores case, because the
// vendor's own examples use cogView-4-250304. The error is an *Error of kind
// KindInvalidArgument whose hint lists the models of the region.
func FindModel(region Region, id string) (Model, error) {
	name := strings.ToLower(strings.TrimSpace(id))
	var here []string
	for _, m := range models() {
		offered := slices.Contains(m.Regions, region)
		if m.ID == name && offered {
			return m, nil
		}
		if m.ID == name {
			return Model{}, invalidArgument(
				fmt.Sprintf("model %q exists only in region %s; the region in use is %s", m.ID, m.Regions[0], region),
				"Use one of: "+strings.Join(modelIDs(region), ", ")+".")
		}
		if offered {
			here = append(here, m.ID)
		}
	}
	return Model{}, invalidArgument(fmt.Sprintf("unknown model %q", clip(id, 60)), "Use one of: "+strings.Join(here, ", ")+".")
}

func modelIDs(region Region) []string {
	var ids []string
	for _, m := range Models(region) {
		ids = append(ids, m.ID)
	}
	return ids
}

var sizePattern = regexp.MustCompile(`^(\d{1,5})x(\d{1,5})$`)

// NormalizeSize returns a size in the API's form, WIDTHxHEIGHT. The vendor's
// Chinese pages use × as the separator, other services use *, and users type X.
func NormalizeSize(size string) string {
	return strings.NewReplacer("×", "x", "X", "x", "*", "x", " ", "").Replace(strings.TrimSpace(size))
}

// ParseSize returns the width and height of a normalized size. ok is false if
// the text is not a size.
func ParseSize(size string) (width, height int, ok bool) {
	m := sizePattern.FindStringSubmatch(size)
	if m == nil {
		return 0, 0, false
	}
	width, _ = strconv.Atoi(m[1])
	height, _ = strconv.Atoi(m[2])
	return width, height, width > 0 && height > 0
}

// CheckSize fails if the model does not accept a normalized size. The error is
// an *Error of kind KindInvalidArgument whose hint lists the allowed sizes.
func (m Model) CheckSize(size string) error {
	if slices.ContainsFunc(m.Sizes, func(s RecommendedSize) bool { return s.Size == size }) {
		return nil
	}
	hint := "Use one of " + strings.Join(m.SizeNames(), ", ") + "; or " + m.CustomSizes.String() + "."
	w, h, ok := ParseSize(size)
	if !ok {
		return invalidArgument(fmt.Sprintf("size %q is not WIDTHxHEIGHT", clip(size, 40)), hint)
	}
	r := m.CustomSizes
	switch {
	case min(w, h) < r.Min || max(w, h) > r.Max:
		return invalidArgument(fmt.Sprintf("size %s: each side must be %d to %d for %s", size, r.Min, r.Max, m.ID), hint)
	case w%r.Divisor != 0 || h%r.Divisor != 0:
		return invalidArgument(fmt.Sprintf("size %s: each side must be divisible by %d for %s", size, r.Divisor, m.ID), hint)
	case w*h > r.MaxPixels:
		return invalidArgument(fmt.Sprintf("size %s has %d pixels, more than the %d that %s can make", size, w*h, r.MaxPixels, m.ID), hint)
	}
	return nil
}

// SizeNames returns the recommended sizes, the default first.
func (m Model) SizeNames() []string {
	var names []string
	for _, s := range m.Sizes {
		names = append(names, s.Size)
	}
	return names
}

// String returns a description of the rule.
func (r SizeRule) String() string {
	return fmt.Sprintf("any size with sides of %d to %d divisible by %d and at most %d pixels", r.Min, r.Max, r.Divisor, r.MaxPixels)
}

// DefaultQuality returns the quality of requests without one.
func (m Model) DefaultQuality() string {
	if len(m.Qualities) == 0 {
		return Standard
	}
	return m.Qualities[0]
}

// CheckQuality fails if the model does not support the quality. The error is an
// *Error of kind KindInvalidArgument.
func (m Model) CheckQuality(quality string) error {
	if quality == m.DefaultQuality() || slices.Contains(m.Qualities, quality) {
		return nil
	}
	allowed := strings.Join(m.Qualities, " or ")
	if allowed == "" {
		allowed = Standard
	}
	return invalidArgument(fmt.Sprintf("quality %q is not available for %s", clip(quality, 40), m.ID), "Leave quality out or use "+allowed+".")
}

// TypicalDuration returns how long an image of the quality takes. An empty
// quality stands for the model's default.
func (m Model) TypicalDuration(quality string) time.Duration {
	switch {
	case len(m.Qualities) == 0:
		quality = ""
	case quality == "":
		quality = m.DefaultQuality()
	}
	return m.TypicalDurations[quality]
}
