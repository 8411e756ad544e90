package cli

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

var update = flag.Bool("update", false, "write the tables of the README")

// The README's tables come from the code: they cannot be out of date.
func TestREADMETables(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	readme := string(raw)
	for name, table := range map[string]string{"flags": flagTable(t), "tools": toolTable(t), "models": modelTable()} {
		begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		before, rest, found := strings.Cut(readme, begin)
		require.True(t, found, name)
		_, after, found := strings.Cut(rest, end)
		require.True(t, found, name)
		readme = before + begin + table + end + after
	}
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(readme), 0o644))
	}
	assert.Equal(t, readme, string(raw), "run the test with -update")
}

func flagTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| flag | environment | default | meaning |\n|---|---|---|---|\n")
	var rows []string
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		for field := range of.Fields() {
			if field.Anonymous {
				walk(field.Type)
				continue
			}
			help := field.Tag.Get("help")
			if help == "" || field.Tag.Get("env") == "" {
				continue
			}
			name := field.Tag.Get("name")
			if name == "" {
				name = strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(field.Name, "$1-$2"))
			}
			value := field.Tag.Get("default")
			if value != "" {
				value = "`" + value + "`"
			}
			rows = append(rows, fmt.Sprintf("| `--%s` | `%s` | %s | %s |\n", name, field.Tag.Get("env"), value, strings.TrimSuffix(help, ".")))
		}
	}
	walk(reflect.TypeFor[serveCommand]())
	walk(reflect.TypeFor[commands]())
	slices.Sort(rows)
	return b.String() + strings.Join(slices.Compact(rows), "")
}

// toolTable reads the golden definitions, which the tests of package tools
// hold against the code.
func toolTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| tool | argument | type | meaning |\n|---|---|---|---|\n")
	for _, name := range []string{"generate_image", "get_image", "list_images"} {
		raw, err := os.ReadFile("tools/testdata/global/" + name + ".json")
		require.NoError(t, err)
		var tool struct {
			InputSchema toolSchema `json:"inputSchema"`
		}
		require.NoError(t, json.Unmarshal(raw, &tool))
		b.WriteString(argumentRows(name, tool.InputSchema))
	}
	return b.String()
}

// toolSchema is what the table needs of a tool's arguments.
type toolSchema struct {
	Properties map[string]struct {
		Type, Description string
		Enum              []string
		Default           any
		Minimum, Maximum  *int
	}
	Required []string
}

func argumentRows(tool string, schema toolSchema) string {
	names := []string{"id", "prompt", "model", "size", "quality", "n", "user_id", "query", "limit", "cursor"}
	var rows strings.Builder
	for _, name := range names {
		p, ok := schema.Properties[name]
		if !ok {
			continue
		}
		meaning := []string{}
		for _, part := range []string{p.Description, strings.Join(p.Enum, ", ")} {
			if part != "" {
				meaning = append(meaning, part)
			}
		}
		if p.Minimum != nil {
			meaning = append(meaning, fmt.Sprintf("%d to %d", *p.Minimum, *p.Maximum))
		}
		if p.Default != nil {
			meaning = append(meaning, fmt.Sprintf("default %v", p.Default))
		}
		if slices.Contains(schema.Required, name) {
			name += "` (required) `"
		}
		fmt.Fprintf(&rows, "| `%s` | `%s` | %s | %s |\n", tool, strings.TrimSuffix(name, " `"), p.Type, strings.Join(meaning, "; "))
		delete(schema.Properties, name)
	}
	return strings.ReplaceAll(rows.String(), "(required)` |", "(required) |")
}

func modelTable() string {
	var b strings.Builder
	b.WriteString("| model | region | price | usual time | sizes |\n|---|---|---|---|---|\n")
	for _, m := range zai.Models(zai.China) {
		var regions, times []string
		for _, r := range m.Regions {
			regions = append(regions, string(r))
		}
		for _, quality := range append([]string{}, m.Qualities...) {
			times = append(times, fmt.Sprintf("%s %g s", quality, m.TypicalDuration(quality).Seconds()))
		}
		if len(times) == 0 {
			times = []string{fmt.Sprintf("%g s", m.TypicalDuration("").Seconds())}
		}
		fmt.Fprintf(&b, "| `%s` | %s | $%g | %s | %s; or sides of %d to %d divisible by %d, at most %d pixels |\n", m.ID, strings.Join(regions, ", "), m.PriceUSD,
			strings.Join(times, ", "), strings.Join(m.SizeNames(), ", "), m.CustomSizes.Min, m.CustomSizes.Max, m.CustomSizes.Divisor, m.CustomSizes.MaxPixels)
	}
	return b.String()
}

func TestExampleConfiguration(t *testing.T) {
	raw, err := os.ReadFile("mcp.json.example")
	require.NoError(t, err)
	var config struct {
		Servers map[string]struct {
			Type, Command string
			Args          []string
			Env           map[string]string
		} `json:"mcpServers"`
	}
	require.NoError(t, json.Unmarshal(raw, &config))
	require.Len(t, config.Servers, 1)
	for name, s := range config.Servers {
		assert.Regexp(t, `^[a-z0-9-]+$`, name)
		assert.Equal(t, "stdio", s.Type)
		assert.NotEmpty(t, s.Command)
		assert.Contains(t, s.Env, "ZAI_API_KEY")
	}
}
