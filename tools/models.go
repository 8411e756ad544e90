package tools

import (
	"encoding/json"
	"strings"

	"zai-image-mcp/zai"
)

// ModelsDocument returns the JSON of the resource zai-image://models: the
// table of a region's models.
func ModelsDocument(region zai.Region, defaultModel string) ([]byte, error) {
	type size struct {
		Size string `json:"size"`
		Use  string `json:"use"`
	}
	type rule struct {
		Min       int `json:"min_side"`
		Max       int `json:"max_side"`
		Divisor   int `json:"divisible_by"`
		MaxPixels int `json:"max_pixels"`
	}
	type model struct {
		ID             string             `json:"id"`
		Default        bool               `json:"default"`
		Summary        string             `json:"summary"`
		PriceUSD       float64            `json:"price_usd"`
		DefaultSize    string             `json:"default_size"`
		Sizes          []size             `json:"recommended_sizes"`
		CustomSizes    rule               `json:"other_sizes"`
		DefaultQuality string             `json:"default_quality"`
		Qualities      []string           `json:"qualities"`
		UsualSeconds   map[string]float64 `json:"usual_seconds"`
	}
	document := struct {
		Region zai.Region `json:"region"`
		Models []model    `json:"models"`
	}{Region: region}
	for _, m := range zai.Models(region) {
		entry := model{
			ID: m.ID, Default: m.ID == strings.ToLower(defaultModel), Summary: m.Summary, PriceUSD: m.PriceUSD, DefaultSize: m.DefaultSize,
			CustomSizes:    rule{m.CustomSizes.Min, m.CustomSizes.Max, m.CustomSizes.Divisor, m.CustomSizes.MaxPixels},
			DefaultQuality: m.DefaultQuality(), Qualities: m.Qualities, UsualSeconds: map[string]float64{},
		}
		if len(entry.Qualities) == 0 {
			entry.Qualities = []string{m.DefaultQuality()}
		}
		for _, s := range m.Sizes {
			entry.Sizes = append(entry.Sizes, size{s.Size, s.Use})
		}
		for _, quality := range entry.Qualities {
			entry.UsualSeconds[quality] = m.TypicalDuration(quality).Seconds()
		}
		document.Models = append(document.Models, entry)
	}
	return json.MarshalIndent(document, "", "  ")
}
