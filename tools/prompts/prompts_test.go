package prompts_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/tools/prompts"
	"zai-image-mcp/zai"
)

var update = flag.Bool("update", false, "write golden files")

// promptText returns the text of a prompt.
func promptText(t *testing.T, p server.ServerPrompt, arguments map[string]string) (string, error) {
	t.Helper()
	result, err := p.Handler(t.Context(), mcp.GetPromptRequest{Params: mcp.GetPromptParams{Name: p.Prompt.Name, Arguments: arguments}})
	if err != nil {
		return "", err
	}
	require.Len(t, result.Messages, 1)
	assert.Equal(t, mcp.RoleUser, result.Messages[0].Role)
	return result.Messages[0].Content.(mcp.TextContent).Text, nil
}

// required returns the name of a prompt's required argument.
func required(p server.ServerPrompt) string {
	for _, a := range p.Prompt.Arguments {
		if a.Required {
			return a.Name
		}
	}
	return ""
}

// The definitions, and the texts of each prompt with the fewest and with nearly
// all arguments, are a contract with users. Golden files reveal every change.
func TestAll_Golden(t *testing.T) {
	t.Parallel()
	var names []string
	for _, p := range prompts.All(zai.Global, zai.DefaultModel) {
		names = append(names, p.Prompt.Name)
		for _, a := range p.Prompt.Arguments {
			assert.NotEmpty(t, a.Description, "%s %s", p.Prompt.Name, a.Name)
		}
		definition, err := json.MarshalIndent(p.Prompt, "", "  ")
		require.NoError(t, err)
		least, err := promptText(t, p, map[string]string{required(p): "a red fox"})
		require.NoError(t, err)
		all := map[string]string{}
		for _, a := range p.Prompt.Arguments {
			all[a.Name] = "the user's " + a.Name
		}
		delete(all, "model")
		delete(all, "size")
		most, err := promptText(t, p, all)
		require.NoError(t, err)
		got := string(definition) + "\n\n" + least + "\n\n" + most + "\n"
		golden := filepath.Join("testdata", p.Prompt.Name+".txt")
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
			require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err, "run the test with -update")
		assert.Equal(t, string(want), got)
	}
	assert.Equal(t, []string{"food_promotion", "product_image", "game_asset", "teaching_illustration", "tourism_promotion", "improve_prompt"}, names)
}

// requested matches the call that a prompt requests.
var requested = regexp.MustCompile(`Call generate_image once, with model "([^"]+)", size "([^"]+)", quality "([^"]+)" and n 1\.`)

// The call that a prompt requests is valid for all choices of its arguments.
func TestAll_ValidCalls(t *testing.T) {
	t.Parallel()
	sizes := map[string]bool{}
	for _, region := range []zai.Region{zai.Global, zai.China} {
		for _, p := range prompts.All(region, zai.DefaultModel) {
			if p.Prompt.Name == "improve_prompt" {
				continue
			}
			for _, m := range zai.Models(region) {
				complete := prompts.Completion{Region: region}
				formats, err := complete.CompletePromptArgument(t.Context(), p.Prompt.Name, mcp.CompleteArgument{Name: "format"}, mcp.CompleteContext{})
				require.NoError(t, err)
				for _, format := range append(formats.Values, "", "something else", strings.ToUpper(formats.Values[1])) {
					text, err := promptText(t, p, map[string]string{required(p): "a fox", "format": format, "model": m.ID})
					require.NoError(t, err)
					if format == "something else" {
						assert.Contains(t, text, "- it is for: something else\n")
						for _, size := range m.SizeNames() {
							assert.Contains(t, text, size)
						}
						continue
					}
					call := requested.FindStringSubmatch(text)
					require.NotNil(t, call, text)
					model, err := zai.FindModel(region, call[1])
					require.NoError(t, err)
					assert.Equal(t, m.ID, model.ID)
					require.NoError(t, model.CheckSize(call[2]))
					require.NoError(t, model.CheckQuality(call[3]))
					sizes[call[2]] = true
				}
			}
		}
	}
	assert.Greater(t, len(sizes), 8, "formats differ in size")
}

func TestAll_InvalidArguments(t *testing.T) {
	t.Parallel()
	p := prompts.All(zai.Global, zai.DefaultModel)[0]
	for text, arguments := range map[string]map[string]string{
		`"dish" of the prompt "food_promotion" is missing`: {"dish": "  ", "style": "rustic"},
		`has no argument "colour"`:                         {"dish": "soup", "colour": "red"},
		"10001 characters":                                 {"dish": strings.Repeat("x", 10_001)},
		"dall-e":                                           {"dish": "soup", "model": "dall-e"},
		"divisible by 16":                                  {"dish": "soup", "size": "1000x1000"},
	} {
		_, err := promptText(t, p, arguments)
		var wrong *prompts.ArgumentError
		require.ErrorAs(t, err, &wrong)
		assert.Contains(t, wrong.Text, text)
	}
}

// The prompt contains the text for the image word for word, in one language or
// in both.
func TestAll_TextInImage(t *testing.T) {
	t.Parallel()
	p := prompts.All(zai.Global, zai.DefaultModel)[1]
	for want, arguments := range map[string]map[string]string{
		"No words in the image.":                       {},
		"“Half price”":                                 {"text": "Half price"},
		"“半价”":                                         {"text_zh": "半价"},
		"Both lines have to be readable":               {"text": "Half price", "text_zh": "半价"},
		`size "720x1440"`:                              {"size": "720×1440"},
		`model "glm-image", size "1280x1280"`:          {"model": "GLM-Image"},
		"in quotes, and say where each stands: \"Half": {"text": "Half price", "text_zh": "半价"},
	} {
		arguments["product"] = "a teapot"
		text, err := promptText(t, p, arguments)
		require.NoError(t, err)
		assert.Contains(t, text, want)
	}
	text, err := promptText(t, prompts.All(zai.Global, "glm-image")[1], map[string]string{"product": "a teapot"})
	require.NoError(t, err)
	assert.Contains(t, text, `model "glm-image"`, "the default of the server")
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	c := prompts.Completion{Region: zai.Global}
	for _, tt := range []struct{ prompt, argument, typed, want string }{
		{"food_promotion", "style", "", "bright and fresh,dark and moody,rustic,minimalist,festive,street food"},
		{"food_promotion", "style", "MIN", "minimalist"},
		{"food_promotion", "format", "p", "poster"},
		{"game_asset", "model", "g", "glm-image"},
		{"game_asset", "size", "14", "1440x720"},
		{"game_asset", "size", "17", ""},
		{"game_asset", "asset", "a", ""},
		{"game_asset", "colour", "", ""},
		{"no_such", "style", "", ""},
		{"improve_prompt", "prompt", "", ""},
		{"improve_prompt", "language", "c", "Chinese"},
		{"improve_prompt", "use", "culture", "culture and tourism promotion"},
	} {
		got, err := c.CompletePromptArgument(t.Context(), tt.prompt, mcp.CompleteArgument{Name: tt.argument, Value: tt.typed}, mcp.CompleteContext{})
		require.NoError(t, err)
		assert.NotNil(t, got.Values)
		assert.Equal(t, tt.want, strings.Join(got.Values, ","), "%+v", tt)
	}
	for _, m := range zai.Models(zai.Global) {
		unnamed, err := prompts.Completion{Region: zai.Global, Model: m.ID}.CompletePromptArgument(t.Context(), "game_asset", mcp.CompleteArgument{Name: "size"}, mcp.CompleteContext{})
		require.NoError(t, err)
		assert.Equal(t, m.SizeNames(), unnamed.Values, "the sizes of the default model")
		chosen := mcp.CompleteContext{Arguments: map[string]string{"model": m.ID}}
		got, err := c.CompletePromptArgument(t.Context(), "game_asset", mcp.CompleteArgument{Name: "size"}, chosen)
		require.NoError(t, err)
		assert.Equal(t, m.SizeNames(), got.Values)
		got, err = c.CompletePromptArgument(t.Context(), "game_asset", mcp.CompleteArgument{Name: "style", Value: "no such"}, chosen)
		require.NoError(t, err)
		assert.Empty(t, got.Values)
	}
}
