package prompts

import (
	"context"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const improveName = "improve_prompt"

// improveArguments returns the arguments of improve_prompt that have choices.
func improveArguments() []argument {
	var titles []string
	for _, p := range catalog() {
		titles = append(titles, strings.ToLower(p.title))
	}
	return []argument{{name: "use", choices: titles}, {name: "language", choices: []string{"English", "Chinese"}}}
}

// improvePrompt returns the prompt with which an agent turns a short
// description into a complete prompt without generating the image.
func improvePrompt() server.ServerPrompt {
	definition := mcp.NewPrompt(improveName, mcp.WithPromptTitle("Improve a prompt"),
		mcp.WithPromptDescription("Turn a short wish into a prompt that makes a good image, before money is spent"),
		mcp.WithArgument("prompt", mcp.RequiredArgument(), mcp.ArgumentDescription("The wish as it is")),
		mcp.WithArgument("use", mcp.ArgumentDescription("What the image is for")),
		mcp.WithArgument("language", mcp.ArgumentDescription("Language of the better prompt: English or Chinese; default that of the wish")),
	)
	return server.ServerPrompt{Prompt: definition, Handler: func(_ context.Context, request mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		given, err := checkArguments(definition, request.Params.Arguments)
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		fmt.Fprintf(&b, "Improve this wish for an image, for the tool generate_image; do not call it yet.\n\nThe wish: %s\n", given["prompt"])
		if given["use"] != "" {
			fmt.Fprintf(&b, "It is for: %s\n", given["use"])
		}
		language := given["language"]
		if language == "" {
			language = "the language of the wish"
		}
		fmt.Fprintf(&b, "\nWrite one paragraph in %s that says, in this order: the subject and what it does; the setting; the composition and from where it is seen; "+
			"light and colours; material and texture; the style or technique; the mood. Keep every word of the wish that names something, invent only what it leaves open, "+
			"and use no negations, as a model draws what it reads. Words that have to be readable in the image stay word for word in quotes, with their place. "+
			"Name no living artists and no brands that the wish does not name.\n\n"+
			"Then say in one line which model, size and quality of zai-image://models suit it and what it costs, and ask whether to make it.", language)
		return userMessage(definition.Description, b.String()), nil
	}}
}
