package tools

import (
	"bytes"
	"encoding/json"

	"github.com/invopop/jsonschema"

	"zai-image-mcp/resources"
)

// inputSchema returns the JSON Schema of a struct of arguments. Every property
// must have a type: some model providers reject a schema without one.
func inputSchema(arguments any, adapt func(*jsonschema.Schema)) (json.RawMessage, error) {
	s := reflector().Reflect(arguments)
	s.Version = ""
	if adapt != nil {
		adapt(s)
	}
	return plainJSON(s)
}

func reflector() *jsonschema.Reflector {
	return &jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true}
}

// plainJSON is json.Marshal without escaping <, > and & for HTML.
func plainJSON(value any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSpace(b.Bytes()), err
}

// outputForm selects how much of the result an output schema declares. The definitions
// take up context in every conversation, and generate_image declares everything already.
type outputForm int

const (
	outputFull  outputForm = iota
	outputShort            // without the properties of images and errors
	outputNone             // without properties
)

// outputSchema returns the JSON Schema of the structured result. It requires no
// properties and forbids none, because failures and successes have different
// ones.
func outputSchema(form outputForm) (json.RawMessage, error) {
	s := reflector().Reflect(&result{})
	s.Version = ""
	makeOptional(s)
	switch form {
	case outputFull:
	case outputShort:
		images, _ := s.Properties.Get("images")
		failure, _ := s.Properties.Get("error")
		images.Items.Properties, failure.Properties = nil, nil
	case outputNone:
		s.Properties = nil
	}
	return plainJSON(s)
}

// makeOptional makes all properties of a schema and of the schemas in it
// optional, and allows additional ones.
func makeOptional(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	s.AdditionalProperties, s.Required = nil, nil
	if s.Properties != nil {
		for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
			makeOptional(pair.Value)
		}
	}
	makeOptional(s.Items)
}

// result is the structured content of the results of all tools.
type result struct {
	Images        []resources.Entry `json:"images,omitzero"`
	SpentTodayUSD *float64          `json:"spent_today_usd,omitempty"`
	Sandbox       *bool             `json:"sandbox,omitempty"`
	NextCursor    string            `json:"next_cursor,omitempty"`
	// Notes repeat what is otherwise only in the text, for hosts that show the
	// structured content instead of the text, as Claude Code does. The schema
	// omits them to stay short.
	Notes []string           `json:"notes,omitempty" jsonschema:"-"`
	Error *resources.Failure `json:"error,omitempty"`
}
