package tools_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/project"
	"zai-image-mcp/tools"
	"zai-image-mcp/zai"
)

var update = flag.Bool("update", false, "write golden files")

// listed returns the tools of a region as tools/list returns them.
func listed(t *testing.T, region zai.Region) []mcp.Tool {
	t.Helper()
	r := newRig(t, func(c *tools.Config, _ *jobs.Config) { c.Region = region })
	result, err := r.ListTools(t.Context(), mcp.ListToolsRequest{})
	require.NoError(t, err)
	return result.Tools
}

// The definitions without a project are a contract with agents. Golden files reveal every change.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	for _, region := range []zai.Region{zai.Global, zai.China} {
		for _, tool := range listed(t, region) {
			got, err := json.MarshalIndent(tool, "", "  ")
			require.NoError(t, err)
			golden := filepath.Join("testdata", string(region), tool.Name+".json")
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err, "run the test with -update")
			assert.Equal(t, string(want), string(got)+"\n")
		}
	}
}

func TestDefinitions_Size(t *testing.T) {
	t.Parallel()
	for _, region := range []zai.Region{zai.Global, zai.China} {
		list, err := tools.New(tools.Config{Region: region, DefaultModel: zai.DefaultModel, Project: project.New(t.TempDir())})
		require.NoError(t, err)
		require.Len(t, list, 4)
		size := len("[]")
		for _, tool := range list {
			raw, err := json.Marshal(tool.Tool) // as the server sends it
			require.NoError(t, err)
			size += len(raw) + len(",")
		}
		assert.LessOrEqual(t, size, 5600, "the definitions take up context in every conversation")
		t.Logf("%s: %d bytes", region, size)
	}
}

// Hosts ask the user before a call of a tool that is not read-only. With a project,
// get_image and export_image write files.
func TestDefinitions_Annotations(t *testing.T) {
	t.Parallel()
	writers := map[bool][]string{false: {"generate_image"}, true: {"generate_image", "get_image", "export_image"}}
	for hasProject, writers := range writers {
		c := tools.Config{Region: zai.Global, DefaultModel: zai.DefaultModel}
		if hasProject {
			c.Project = project.New(t.TempDir())
		}
		list, err := tools.New(c)
		require.NoError(t, err)
		for _, tool := range list {
			name, a := tool.Tool.Name, tool.Tool.Annotations
			for hint, value := range map[string]*bool{"readOnly": a.ReadOnlyHint, "destructive": a.DestructiveHint, "idempotent": a.IdempotentHint, "openWorld": a.OpenWorldHint} {
				assert.NotNil(t, value, "%s %s", name, hint)
			}
			assert.Equal(t, !slices.Contains(writers, name), *a.ReadOnlyHint, name)
			assert.Equal(t, *a.ReadOnlyHint, *a.IdempotentHint, name)
			assert.False(t, *a.DestructiveHint, name)
			assert.Equal(t, name == "generate_image", *a.OpenWorldHint, name)
		}
	}
}

// Some model providers reject properties without a type and arrays without
// items.
func TestDefinitions_PortableSchemas(t *testing.T) {
	t.Parallel()
	var check func(path string, schema any)
	check = func(path string, schema any) {
		object, ok := schema.(map[string]any)
		require.True(t, ok, "%s is %T, not an object", path, schema)
		kind, ok := object["type"].(string)
		require.True(t, ok, "%s has no single type", path)
		if kind == "array" {
			check(path+"[]", object["items"])
		}
		if properties, ok := object["properties"].(map[string]any); ok {
			for name, property := range properties {
				check(path+"."+name, property)
			}
		}
		for name := range object {
			assert.NotContains(t, "$ref $defs anyOf oneOf allOf not", name, path)
		}
	}
	for _, tool := range listed(t, zai.Global) {
		raw, err := json.Marshal(tool)
		require.NoError(t, err)
		var decoded map[string]any
		require.NoError(t, json.Unmarshal(raw, &decoded))
		check(tool.Name+" input", decoded["inputSchema"])
		check(tool.Name+" output", decoded["outputSchema"])
		assert.Equal(t, false, decoded["inputSchema"].(map[string]any)["additionalProperties"])
	}
}

func TestDefinitions_ModelDescriptions(t *testing.T) {
	t.Parallel()
	for _, tool := range listed(t, zai.Global) {
		if tool.Name != "generate_image" {
			continue
		}
		for _, part := range []string{"$0.01,", "$0.015", "Chinese and English", "hd ~20 s", "1024x1024 square", "1280x1280", "divisible by 16", "2097152"} {
			assert.Contains(t, tool.Description, part)
		}
		assert.NotContains(t, tool.Description, "cogview-3-flash", "a model of the other region")
		assert.False(t, strings.HasSuffix(tool.Description, "\n"))
	}
}

func TestModelsDocument(t *testing.T) {
	t.Parallel()
	raw, err := tools.ModelsDocument(zai.China, zai.DefaultModel)
	require.NoError(t, err)
	var document struct {
		Region string `json:"region"`
		Models []struct {
			ID      string  `json:"id"`
			Default bool    `json:"default"`
			Price   float64 `json:"price_usd"`
			Sizes   []any   `json:"recommended_sizes"`
		} `json:"models"`
	}
	require.NoError(t, json.Unmarshal(raw, &document))
	assert.Equal(t, "china", document.Region)
	require.Len(t, document.Models, 4)
	assert.True(t, document.Models[0].Default)
	for _, m := range document.Models {
		assert.Len(t, m.Sizes, 7, m.ID)
	}
}
