package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/zai"
)

// A prompt is a way to a good image that a user picks in the host: it turns
// some answers into words that lead an agent to call generate_image well. The
// first five are the uses that the vendor names
// (docs.z.ai/guides/image/cogview-4, "Usage").
type prompt struct {
	name, title, description string
	subject                  argument   // what to show
	details                  []argument // what else may be said
	formats                  []format   // what the image is for, the usual one first
	hd                       bool       // fine detail is worth the time
	craft                    string     // how the words of the image are best chosen
	model                    string     // used when the user names none
}

// argument is one question to the user.
type argument struct {
	name, description string
	choices           []string // to complete with; anything else may be said too
}

// format is a use of the image, and the word that the models' tables have for
// the size that suits it.
type format struct{ name, suits string }

// Names of the arguments that all prompts have.
const (
	formatArgument  = "format"
	textArgument    = "text"
	textZhArgument  = "text_zh"
	textDescription = "Words that must be readable in the image, in English or another Latin script"
	textZh          = "The same in Chinese, for a bilingual image"
	modelArgument   = "model"
	sizeArgument    = "size"
)

// Prompts makes the prompts, which ask for the region's default model unless
// the user names another.
func Prompts(region zai.Region, model string) []server.ServerPrompt {
	var list []server.ServerPrompt
	for _, p := range uses() {
		p.model = model
		list = append(list, server.ServerPrompt{Prompt: p.definition(region), Handler: p.handler(region)})
	}
	return append(list, improvePrompt())
}

// PromptError is a request for a prompt that cannot be met.
type PromptError struct{ Text string }

func (e *PromptError) Error() string { return e.Text }

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
		return instruct(p.description, text), nil
	}
}

// checkArguments gives the arguments without empty ones. The library lets
// requests through that lack required ones or hold unknown ones.
func checkArguments(p mcp.Prompt, arguments map[string]string) (map[string]string, error) {
	given := map[string]string{}
	for name, value := range arguments {
		if !slices.ContainsFunc(p.Arguments, func(a mcp.PromptArgument) bool { return a.Name == name }) {
			return nil, &PromptError{fmt.Sprintf("The prompt %q has no argument %q.", p.Name, clip(name, 60))}
		}
		if n := len([]rune(value)); n > zai.MaxPrompt {
			return nil, &PromptError{fmt.Sprintf("The argument %q has %d characters, more than %d.", name, n, zai.MaxPrompt)}
		}
		if value = strings.TrimSpace(value); value != "" {
			given[name] = value
		}
	}
	for _, a := range p.Arguments {
		if a.Required && given[a.Name] == "" {
			return nil, &PromptError{fmt.Sprintf("The argument %q of the prompt %q is missing.", a.Name, p.Name)}
		}
	}
	return given, nil
}

// text is what the agent is told to do.
func (p prompt) text(region zai.Region, given map[string]string) (string, error) {
	use, wish := p.formats[0], given[formatArgument]
	if wish == "" {
		wish = use.name
	}
	known := false
	for _, f := range p.formats {
		if strings.EqualFold(f.name, wish) {
			use, known = f, true
		}
	}
	model, chosen, err := p.choose(region, given, use)
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
	fmt.Fprintf(&b, "- it is for: %s\n", wish)
	fmt.Fprintf(&b, "\nCall generate_image once, with model %q, %s, quality %q and n 1. ", model.ID, size, quality)
	fmt.Fprintf(&b, "Write its prompt yourself, in one paragraph: %s", p.craft)
	lettering(&b, given)
	fmt.Fprintf(&b, "\n\nThen look at the preview, if you can see it. When something is wrong, say what, and ask before you make another one: each costs $%g. "+
		"At the end tell the user the file or the link of the original.", model.PriceUSD)
	return b.String(), nil
}

// choose gives model and size: those asked for, else the usual ones.
func (p prompt) choose(region zai.Region, given map[string]string, use format) (zai.Model, string, error) {
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
	for _, suits := range []string{use.suits, map[string]string{"header": "slide", "infographic": "phone"}[use.suits]} {
		for _, s := range model.Sizes {
			if s.Category == suits {
				return model, s.Size, nil
			}
		}
	}
	return model, model.DefaultSize, nil
}

// sizesOf lists a model's sizes with what they are for.
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
		return &PromptError{message + " " + hint}
	}
	return err
}

// lettering asks for words in the image.
func lettering(b *strings.Builder, given map[string]string) {
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

func instruct(description, text string) *mcp.GetPromptResult {
	return mcp.NewGetPromptResult(description, []mcp.PromptMessage{mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent(text))})
}

func clip(text string, runes int) string {
	if r := []rune(text); len(r) > runes {
		return string(r[:runes]) + "…"
	}
	return text
}

// PromptCompletion completes arguments of prompts with what is usual for them.
type PromptCompletion struct {
	Region zai.Region
	Model  string // used when the user names none
}

// CompletePromptArgument lists the choices that begin as typed; sizes are those
// of the model that the user has named already, else of the one that is used.
// Unknown names complete to nothing.
func (c PromptCompletion) CompletePromptArgument(_ context.Context, name string, typed mcp.CompleteArgument, filled mcp.CompleteContext) (*mcp.Completion, error) {
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

func (c PromptCompletion) arguments(name string) []argument {
	if name == improveName {
		return improveChoices()
	}
	for _, p := range uses() {
		if p.name == name {
			p.model = c.Model
			return p.arguments(c.Region)
		}
	}
	return nil
}
