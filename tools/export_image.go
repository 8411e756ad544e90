package tools

import (
	"cmp"
	"context"
	"path"
	"strings"

	"github.com/invopop/jsonschema"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/project"
	"zai-image-mcp/resources"
	"zai-image-mcp/resources/render"
)

type exportArguments struct {
	ID         string `json:"id"`
	SaveAs     string `json:"save_as,omitempty" jsonschema_description:"As in generate_image, or .ico; a folder for a set"`
	Size       string `json:"size,omitempty" jsonschema_description:"WIDTHxHEIGHT"`
	Fit        string `json:"fit,omitempty" jsonschema:"enum=cover,enum=contain"`
	Background string `json:"background,omitempty" jsonschema_description:"transparent or #rrggbb"`
	Set        string `json:"set,omitempty"`
	Replace    bool   `json:"replace,omitempty" jsonschema_description:"Overwrite a file this server made"`
}

func (t *tools) exportImage() (server.ServerTool, error) {
	return define(t, definition{
		name: "export_image", title: "Export image", readOnly: t.Project == nil, output: outputNone,
		description: "Make files of exact size and format from a picture, free and offline; set: icons or social cards. " +
			"For transparency, prompt for a plain single-colour background, never for transparent or checkerboard.",
		adaptInput: func(s *jsonschema.Schema) {
			set, _ := s.Properties.Get("set")
			for _, name := range render.Sets() {
				set.Enum = append(set.Enum, name)
			}
		},
	}, exportArguments{}, t.export)
}

// exportTarget is one file to make.
type exportTarget struct {
	name string // in the project; without save_as, only what the file is called
	spec render.Spec
}

// export makes files from an image. Everything that can be refused is refused before the
// wait for an image that is still being made.
func (t *tools) export(ctx context.Context, c toolCall, arguments exportArguments) (*mcp.CallToolResult, error) {
	arguments = arguments.trimmed()
	i, err := t.findImage(ctx, c.caller, arguments.ID)
	if err != nil {
		return nil, err
	}
	targets, err := t.exportTargets(arguments, i)
	if err != nil {
		return nil, err
	}
	if i, err = t.followImage(ctx, c, i); err != nil {
		return nil, err
	}
	if i.State != resources.Saved {
		note := "No file was made."
		if i.Status() == resources.StatusWorking {
			note = "No file was made yet: call export_image again when the image is saved."
		}
		return t.imagesResult(ctx, c.caller, []resources.Image{i}, nil, note), nil
	}
	if arguments.SaveAs == "" { // then the format is that of the image, which is known now
		if targets, err = t.listTargets(arguments, i); err != nil {
			return nil, specError(err)
		}
	}
	return t.exportFiles(ctx, c.caller, i, targets, arguments)
}

// trimmed returns the arguments without white space around them.
func (a exportArguments) trimmed() exportArguments {
	for _, text := range []*string{&a.SaveAs, &a.Size, &a.Fit, &a.Background, &a.Set} {
		*text = strings.TrimSpace(*text)
	}
	a.Set = strings.ToLower(a.Set)
	return a
}

// exportTargets checks the arguments and returns the files to make. It fails if one of them
// could not be written now.
func (t *tools) exportTargets(a exportArguments, i resources.Image) ([]exportTarget, error) {
	switch {
	case a.Set != "" && a.Size != "":
		return nil, &argumentError{"A set has sizes of its own, so set and size do not go together.", "Leave out one of them."}
	case a.SaveAs == "" && a.Replace:
		return nil, &argumentError{"replace needs save_as.", "Pass the name of the file to replace as save_as, or leave out replace."}
	case a.SaveAs != "" && t.Project == nil:
		return nil, t.noProject()
	}
	targets, err := t.listTargets(a, i)
	if err != nil || a.SaveAs == "" {
		return targets, specError(err)
	}
	var names []string
	for _, target := range targets {
		names = append(names, target.name)
	}
	if err := t.checkFiles(names, exportExtensions()); err != nil {
		return nil, err
	}
	for n := range targets {
		targets[n].name = names[n]
	}
	return targets, nil
}

// exportExtensions returns the extensions of files that export_image makes.
func exportExtensions() []string { return append(saveExtensions(), ".ico") }

// listTargets returns the files that the arguments ask for.
func (t *tools) listTargets(a exportArguments, i resources.Image) ([]exportTarget, error) {
	if a.Set != "" {
		files, err := render.Set(a.Set).Files(cmp.Or(a.SaveAs, "."), a.Fit, a.Background)
		var targets []exportTarget
		for _, f := range files {
			targets = append(targets, exportTarget{f.Name, f.Spec})
		}
		return targets, err
	}
	name, format := a.SaveAs, originalFormat(i, a.Background)
	if name != "" {
		cleaned, err := project.Clean(name, exportExtensions()...)
		if err != nil {
			return nil, fileError(t.Project, err)
		}
		name = cleaned
		format, _ = render.FormatOf(path.Ext(name))
	}
	spec, err := render.NewSpec(format, a.Size, a.Fit, a.Background)
	if name == "" {
		original := path.Base(i.Path)
		name = strings.TrimSuffix(original, path.Ext(original)) + "-" + spec.String() + format.Extension()
	}
	return []exportTarget{{name, spec}}, err
}

// originalFormat returns the format of an image, or PNG if files of that format are not made
// or cannot be transparent.
func originalFormat(i resources.Image, background string) render.Format {
	format, ok := render.FormatOfType(i.MIMEType)
	if !ok || strings.EqualFold(background, render.Transparent) {
		return render.PNG
	}
	return format
}
