package tools

import (
	"bytes"
	"encoding/json"

	"github.com/invopop/jsonschema"
	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/resources"
)

// inputSchema reflects a struct of arguments. Every property must have a type:
// some model providers refuse a schema without one.
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

// plainJSON is json.Marshal without its \u003c for <.
func plainJSON(value any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSpace(b.Bytes()), err
}

// outputSchema reflects the structured result. Nothing is required and nothing
// forbidden in it, as a failure has another form than a success. The short
// form leaves out what an entry holds: it is told once, by generate_image, and
// every byte of it is paid for in each conversation.
func outputSchema(short bool) (json.RawMessage, error) {
	s := reflector().Reflect(&result{})
	s.Version = ""
	loosen(s)
	if images, ok := s.Properties.Get("images"); ok && short {
		images.Items.Properties = nil
	}
	if failure, ok := s.Properties.Get("error"); ok && short {
		failure.Properties = nil
	}
	return plainJSON(s)
}

func loosen(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	s.AdditionalProperties, s.Required = nil, nil
	if s.Properties != nil {
		for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
			loosen(pair.Value)
		}
	}
	loosen(s.Items)
}

// result is the structured content of all tools.
type result struct {
	Images        []resources.Entry `json:"images,omitzero"`
	SpentTodayUSD *float64          `json:"spent_today_usd,omitempty"`
	Sandbox       *bool             `json:"sandbox,omitempty"`
	NextCursor    string            `json:"next_cursor,omitempty"`
	// Notes are what the text says beside the images' fields, for hosts that
	// put the structured content in the text's place, as Claude Code does. They
	// are not in the schema, which is as short as it can be.
	Notes []string           `json:"notes,omitempty" jsonschema:"-"`
	Error *resources.Failure `json:"error,omitempty"`
}

// definition puts a tool together. All hints are explicit: hosts decide by
// them whether to ask the user.
func definition(name, title, description string, input, output json.RawMessage, readOnly bool) mcp.Tool {
	return mcp.Tool{
		Name: name, Title: title, Description: description, RawInputSchema: input, RawOutputSchema: output,
		Annotations: mcp.ToolAnnotation{
			ReadOnlyHint: new(readOnly), DestructiveHint: new(false), IdempotentHint: new(readOnly), OpenWorldHint: new(!readOnly),
		},
	}
}
