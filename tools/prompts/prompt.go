package prompts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/zai"
)

// prompt is an MCP prompt that turns the user's answers into instructions for
// an agent that calls generate_image. The catalog has one for each use that the
// vendor names (docs.z.ai/guides/image/cogview-4, "Usage").
type prompt struct {
	name, title, description string
	subject                  argument   // what the image shows; required
	details                  []argument // optional
	formats                  []format   // purposes of the image; the first is the default
	hd                       bool       // the image has fine detail, for which hd is worth the wait
	guidance                 string     // how to write the prompt of the image
	cutOut                   bool       // the image is often wanted with a transparent background
	model                    string     // used if the user names none
}

// argument is one argument of a prompt.
type argument struct {
	name, description string
	choices           []string // for completion; other values are valid too
}

// format is a purpose of the image, with the category of the size that suits it
// (see zai.Model.Sizes).
type format struct{ name, category string }

// Arguments that all prompts of the catalog have.
const (
	formatArgument  = "format"
	textArgument    = "text"
	textZhArgument  = "text_zh"
	textDescription = "Words that must be readable in the image, in English or another Latin script"
	textZh          = "The same in Chinese, for a bilingual image"
	modelArgument   = "model"
	sizeArgument    = "size"
)

// All returns the prompts. They request the given model unless the user names
// another one.
func All(region zai.Region, model string) []server.ServerPrompt {
	var list []server.ServerPrompt
	for _, p := range catalog() {
		p.model = model
		list = append(list, server.ServerPrompt{Prompt: p.definition(region), Handler: p.handler(region)})
	}
	return append(list, improvePrompt())
}

// ArgumentError reports invalid arguments of a prompt.
type ArgumentError struct{ Text string }

func (e *ArgumentError) Error() string { return e.Text }

func (p prompt) arguments(region zai.Region) []argument {
	var names, models, sizes []string
	for _, m := range zai.Models(region) {
		models = append(models, m.ID)
		sizes = append(sizes, m.SizeNames()...)
	}
	slices.Sort(sizes)
	for _, f := range p.formats {
		names = append(names, f.name)
	}
	return slices.Concat([]argument{p.subject}, p.details, []argument{
		{formatArgument, "What the image is for; default " + names[0], names},
		{textArgument, textDescription, nil}, {textZhArgument, textZh, nil},
		{modelArgument, "Another model than " + p.model, models},
		{sizeArgument, "Another size than the format's, WIDTHxHEIGHT", slices.Compact(sizes)},
	})
}

func (p prompt) definition(region zai.Region) mcp.Prompt {
	options := []mcp.PromptOption{mcp.WithPromptTitle(p.title), mcp.WithPromptDescription(p.description)}
	for _, a := range p.arguments(region) {
		about := []mcp.ArgumentOption{mcp.ArgumentDescription(a.description)}
		if a.name == p.subject.name {
			about = append(about, mcp.RequiredArgument())
		}
		options = append(options, mcp.WithArgument(a.name, about...))
	}
	return mcp.NewPrompt(p.name, options...)
}

func (p prompt) handler(region zai.Region) server.PromptHandlerFunc {
	return func(_ context.Context, request mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		given, err := checkArguments(p.definition(region), request.Params.Arguments)
		if err != nil {
			return nil, err
		}
		text, err := p.text(region, given)
		if err != nil {
			return nil, err
		}
		return userMessage(p.description, text), nil
	}
}

// checkArguments returns the arguments that are not blank. It rejects unknown,
// missing and too long ones, which mcp-go does not.
func checkArguments(p mcp.Prompt, arguments map[string]string) (map[string]string, error) {
	given := map[string]string{}
	for name, value := range arguments {
		if !slices.ContainsFunc(p.Arguments, func(a mcp.PromptArgument) bool { return a.Name == name }) {
			return nil, &ArgumentError{fmt.Sprintf("The prompt %q has no argument %q.", p.Name, plaintext.Truncate(name, 60))}
		}
		if n := len([]rune(value)); n > zai.MaxPrompt {
			return nil, &ArgumentError{fmt.Sprintf("The argument %q has %d characters, more than %d.", name, n, zai.MaxPrompt)}
		}
		if value = strings.TrimSpace(value); value != "" {
			given[name] = value
		}
	}
	for _, a := range p.Arguments {
		if a.Required && given[a.Name] == "" {
			return nil, &ArgumentError{fmt.Sprintf("The argument %q of the prompt %q is missing.", a.Name, p.Name)}
		}
	}
	return given, nil
}

// text returns the instructions for the agent.
func (p prompt) text(region zai.Region, given map[string]string) (string, error) {
	purpose, named := p.formats[0], given[formatArgument]
	if named == "" {
		named = purpose.name
	}
	known := false
	for _, f := range p.formats {
		if strings.EqualFold(f.name, named) {
			purpose, known = f, true
		}
	}
	model, chosen, err := p.choose(region, given, purpose)
	if err != nil {
		return "", err
	}
	size := fmt.Sprintf("size %q", chosen)
	if !known && given[sizeArgument] == "" {
		size = "the size of these that suits it best (" + sizesOf(model) + ")"
	}
	quality := model.DefaultQuality()
	if p.hd && slices.Contains(model.Qualities, zai.HD) {
		quality = zai.HD
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Make one image: %s.\n\nWhat is known:\n- %s: %s\n", strings.ToLower(p.title), p.subject.name, given[p.subject.name])
	for _, a := range p.details {
		if value := given[a.name]; value != "" {
			fmt.Fprintf(&b, "- %s: %s\n", strings.ReplaceAll(a.name, "_", " "), value)
		}
	}
	fmt.Fprintf(&b, "- it is for: %s\n", named)
	fmt.Fprintf(&b, "\nCall generate_image once, with model %q, %s, quality %q and n 1. "+
		"If the image is for the user's project, also pass save_as with a path in it, such as assets/hero.webp. ", model.ID, size, quality)
	fmt.Fprintf(&b, "Write its prompt yourself, in one paragraph: %s", p.guidance)
	writeTextInstructions(&b, given)
	if p.cutOut {
		b.WriteString(cutOutInstructions)
	}
	fmt.Fprintf(&b, "\n\nThen look at the preview, if you can see it. When something is wrong, say what, and ask before you make another one: each costs $%g. "+
		"export_image makes other sizes and formats of it free of charge. "+
		"At the end tell the user the file or the link of the original.", model.PriceUSD)
	return b.String(), nil
}

// cutOutInstructions say how to get an image with a transparent background.
const cutOutInstructions = "\n\nIf the user wants a transparent background, prompt for a plain background of one colour that the subject does not have, without shadows, " +
	"and never for \"transparent\" or \"checkerboard\", which the model would draw. Once the image is right, call export_image with background \"transparent\"."

// choose returns the model and the size that the user named, or otherwise the
// defaults for the purpose.
func (p prompt) choose(region zai.Region, given map[string]string, purpose format) (zai.Model, string, error) {
	model, err := zai.FindModel(region, cmp.Or(given[modelArgument], p.model, zai.DefaultModel))
	if err != nil {
		return model, "", promptError(err)
	}
	if wanted := zai.NormalizeSize(given[sizeArgument]); wanted != "" {
		if err := model.CheckSize(wanted); err != nil {
			return model, "", promptError(err)
		}
		return model, wanted, nil
	}
	similar := map[string]string{"header": "slide", "infographic": "phone"} // for models without the category
	for _, category := range []string{purpose.category, similar[purpose.category]} {
		for _, s := range model.Sizes {
			if s.Category == category {
				return model, s.Size, nil
			}
		}
	}
	return model, model.DefaultSize, nil
}

// sizesOf returns a model's sizes with their uses.
func sizesOf(m zai.Model) string {
	var list []string
	for _, s := range m.Sizes {
		list = append(list, s.Size+" "+s.Use)
	}
	return strings.Join(list, "; ")
}

func promptError(err error) error {
	if refused, ok := errors.AsType[*zai.Error](err); ok {
		message, hint := refused.Explain()
		return &ArgumentError{message + " " + hint}
	}
	return err
}

// writeTextInstructions writes which words the image must show, or that it
// shows none.
func writeTextInstructions(b *strings.Builder, given map[string]string) {
	english, chinese := given[textArgument], given[textZhArgument]
	switch {
	case english != "" && chinese != "":
		fmt.Fprintf(b, " Both lines have to be readable, so put them into the prompt word for word, each in quotes, and say where each stands: \"%s\" and “%s”.", english, chinese)
	case english != "" || chinese != "":
		fmt.Fprintf(b, " These words have to be readable, so put them into the prompt word for word, in quotes, and say where they stand: “%s”.", english+chinese)
	default:
		b.WriteString(" No words in the image.")
	}
}

// userMessage returns the result of a prompt with one message of the user.
func userMessage(description, text string) *mcp.GetPromptResult {
	return mcp.NewGetPromptResult(description, []mcp.PromptMessage{mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent(text))})
}
