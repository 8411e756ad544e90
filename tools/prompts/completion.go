package prompts

import (
	"cmp"
	"context"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/zai"
)

// Completion completes the arguments of prompts.
type Completion struct {
	Region zai.Region
	Model  string // used if the user names none
}

// CompletePromptArgument returns the choices that start with the typed value,
// ignoring case. Sizes are those of the model that the user has named, or
// otherwise of c.Model. Unknown prompts and arguments have no choices.
func (c Completion) CompletePromptArgument(_ context.Context, name string, typed mcp.CompleteArgument, filled mcp.CompleteContext) (*mcp.Completion, error) {
	values := []string{}
	for _, a := range c.arguments(name) {
		choices := a.choices
		if model, err := zai.FindModel(c.Region, cmp.Or(strings.TrimSpace(filled.Arguments[modelArgument]), c.Model, zai.DefaultModel)); err == nil && a.name == sizeArgument {
			choices = model.SizeNames()
		}
		for _, choice := range choices {
			if a.name == typed.Name && strings.HasPrefix(strings.ToLower(choice), strings.ToLower(typed.Value)) {
				values = append(values, choice)
			}
		}
	}
	return &mcp.Completion{Values: values, Total: len(values)}, nil
}

func (c Completion) arguments(name string) []argument {
	if name == improveName {
		return improveArguments()
	}
	for _, p := range catalog() {
		if p.name == name {
			p.model = c.Model
			return p.arguments(c.Region)
		}
	}
	return nil
}
