package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"zai-image-mcp/resources/label"
)

// labelFlags configure what files made from images say of themselves.
type labelFlags struct {
	Label        choice `help:"What files made from images say of themselves: source (made by AI, with which model and when), recipe (also the prompt) or none." enum:"source,recipe,none" default:"source" env:"ZAI_IMAGE_LABEL"`
	AIGCProducer string `name:"aigc-producer" help:"Name or code of who offers the service in China; adds the AIGC label of GB 45438-2025." env:"ZAI_IMAGE_AIGC_PRODUCER" placeholder:"NAME"`
}

// maxProducer is the maximum length of --aigc-producer in characters.
const maxProducer = 100

// policy returns the policy that the flags set. It fails with a *usageError.
func (f labelFlags) policy() (label.Policy, error) {
	producer := strings.TrimSpace(f.AIGCProducer)
	switch {
	case !utf8.ValidString(producer) || strings.ContainsFunc(producer, unicode.IsControl):
		return label.Policy{}, &usageError{"--aigc-producer contains characters that are not text", "Give the name or the code of who offers the service."}
	case utf8.RuneCountInString(producer) > maxProducer:
		return label.Policy{}, &usageError{fmt.Sprintf("--aigc-producer has more than %d characters", maxProducer), "Give the name or the code of who offers the service."}
	case producer != "" && f.Label == choice(label.None):
		return label.Policy{}, &usageError{"--aigc-producer adds a label and --label none switches labels off", "Leave one of them out."}
	}
	return label.Policy{Mode: label.Mode(f.Label), Producer: producer}, nil
}
