package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

var update = flag.Bool("update", false, "write the tables of the README")

// The README's tables are generated from the code.
func TestREADME_Tables(t *testing.T) {
	readme := string(readFile(t, "README.md"))
	for _, generated := range []struct{ name, table string }{
		{"flags", flagTable(t)}, {"tools", toolTable(t)}, {"models", modelTable()}, {"errors", errorTable()},
	} {
		before, table, after := section(t, readme, generated.name)
		if !*update {
			assert.Equal(t, generated.table, table, "run the test with -update")
		}
		readme = before + generated.table + after
	}
	if *update {
		require.NoError(t, os.WriteFile(inRepository(t, "README.md"), []byte(readme), 0o644))
	}
}

// section returns the text between the markers "<!-- name -->" and
// "<!-- /name -->", and the text before and after, including the markers.
func section(t *testing.T, text, name string) (before, content, after string) {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, found := strings.Cut(text, begin)
	require.True(t, found, "%s is not in the README", begin)
	content, after, found = strings.Cut(rest, end)
	require.True(t, found, "%s is not in the README", end)
	return before + begin, content, end + after
}

// Every error kind has one line in the README.
func TestREADME_ErrorKinds(t *testing.T) {
	_, table, _ := section(t, readPage(t, "README.md"), "errors")
	var kinds []string
	for _, line := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(table, -1) {
		kinds = append(kinds, line[1])
	}
	assert.ElementsMatch(t, []string{
		"invalid_argument", "no_api_key", "unauthorized", "wrong_region", "no_balance", "rate_limited", "quota", "content_blocked",
		"budget_exceeded", "upstream", "outcome_unknown", "download", "storage", "not_found", "cancelled", "internal",
	}, kinds)
}

// The documents contain the line that the program prints for a sandbox image.
func TestREADME_SampleResult(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	process := Process{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &stderr, Env: func(string) string { return "" }, Pictures: t.TempDir(),
	}
	exit := Run(t.Context(), process, []string{"generate", "--sandbox", "--size", "512x512", "Ramen"})
	require.Zero(t, exit, stderr.String())
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	sample := lines[len(lines)-1]
	require.Contains(t, sample, "sandbox")
	for _, page := range []string{"README.md", "docs/sandbox.md"} {
		assert.Contains(t, strings.Split(readPage(t, page), "\n"), sample, page)
	}
}

// The README has the test command that CI runs and the example for new users.
func TestREADME_Commands(t *testing.T) {
	readme := readPage(t, "README.md")
	assert.Contains(t, readme, "```sh\ngo test ./...\n```")
	assert.Contains(t, readme, "```sh\ngo run . generate --sandbox \"A cute little kitten on a sunny windowsill\"\n```")
}

// pages returns the paths of the documents in the repository.
func pages(t *testing.T) (names []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", ".github/*.md", "docs/*.md", "docs/*/*.md"} {
		names = append(names, glob(t, pattern)...)
	}
	require.Contains(t, names, "README.md")
	return names
}

// glob returns the files of the repository that match a pattern.
func glob(t *testing.T, pattern string) (names []string) {
	t.Helper()
	found, err := filepath.Glob(inRepository(t, pattern))
	require.NoError(t, err)
	for _, full := range found {
		name, err := filepath.Rel(inRepository(t, ""), full)
		require.NoError(t, err)
		names = append(names, filepath.ToSlash(name))
	}
	return names
}

var (
	codeBlock      = regexp.MustCompile("(?ms)^```.*?^```$")
	inlineCode     = regexp.MustCompile("`[^`\n]+`")
	inlineLink     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	referenceLink  = regexp.MustCompile(`\]\[([^\]]+)\]`)
	linkDefinition = regexp.MustCompile(`(?m)^\[([^\]]+)\]: (\S+)$`)
)

func readPage(t *testing.T, name string) string {
	t.Helper()
	return strings.ReplaceAll(string(readFile(t, name)), "\r\n", "\n")
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(inRepository(t, name))
	require.NoError(t, err)
	return raw
}

// inRepository returns the absolute path of a file in the repository. The go
// command records the files that a test opens, and resolves relative paths
// against the package's folder, because TestMain changes the folder before the
// recording begins. With relative paths it would miss changes to documents and
// reuse old test results.
func inRepository(t *testing.T, name string) string {
	t.Helper()
	root, err := os.Getwd()
	require.NoError(t, err)
	return filepath.Join(root, filepath.FromSlash(name))
}

// Lines of prose have at most 100 characters, so that diffs are readable. Tables,
// code blocks and link definitions cannot be wrapped.
func TestDocs_LineLength(t *testing.T) {
	for _, page := range pages(t) {
		prose := codeBlock.ReplaceAllString(readPage(t, page), "")
		for line := range strings.SplitSeq(linkDefinition.ReplaceAllString(prose, ""), "\n") {
			if !strings.HasPrefix(line, "|") {
				assert.LessOrEqual(t, utf8.RuneCountInString(line), 100, "%s: %s", page, line)
			}
		}
	}
}

// Links refer to files and headings that exist.
func TestDocs_Links(t *testing.T) {
	for _, page := range pages(t) {
		prose := codeBlock.ReplaceAllString(readPage(t, page), "")
		defined := map[string]bool{}
		var targets []string
		for _, definition := range linkDefinition.FindAllStringSubmatch(prose, -1) {
			defined[definition[1]] = true
			targets = append(targets, definition[2])
		}
		prose = inlineCode.ReplaceAllString(prose, "code")
		for _, link := range inlineLink.FindAllStringSubmatch(prose, -1) {
			targets = append(targets, link[1])
		}
		for _, link := range referenceLink.FindAllStringSubmatch(prose, -1) {
			assert.True(t, defined[link[1]], "%s: [%s] is not defined", page, link[1])
		}
		for _, target := range targets {
			checkLink(t, page, target)
		}
	}
}

// checkLink asserts that the target of a link exists. It does not check links to
// other sites, or to the repository's pages on GitHub, which are two levels above
// its top folder.
func checkLink(t *testing.T, page, target string) {
	t.Helper()
	if strings.HasPrefix(target, "https://") || path.Dir(page) == "." && regexp.MustCompile(`^\.\./\.\./(releases|compare)/`).MatchString(target) {
		return
	}
	file, heading, _ := strings.Cut(target, "#")
	name := page
	if file != "" {
		name = path.Join(path.Dir(page), file)
	}
	if !assert.FileExists(t, inRepository(t, name), "%s: %s", page, target) || heading == "" {
		return
	}
	assert.Contains(t, headings(readPage(t, name)), heading, "%s: %s", page, target)
}

// headings returns the anchors that GitHub generates for the headings of a page.
func headings(text string) (anchors []string) {
	text = codeBlock.ReplaceAllString(text, "")
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		anchor := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
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
	walk(reflect.TypeFor[showFlags]())
	slices.Sort(rows)
	return b.String() + strings.Join(slices.Compact(rows), "")
}

// toolTable returns the table of tool arguments. It reads the golden files, which
// the tests of package tools compare with the code.
func toolTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| tool | argument | type | meaning |\n|---|---|---|---|\n")
	for _, name := range []string{"generate_image", "get_image", "export_image", "list_images"} {
		raw := readFile(t, "tools/testdata/global/"+name+".json")
		var tool struct {
			InputSchema toolSchema `json:"inputSchema"`
		}
		require.NoError(t, json.Unmarshal(raw, &tool))
		b.WriteString(argumentRows(name, tool.InputSchema))
	}
	return b.String()
}

// toolSchema is the part of a tool's input schema that the table shows.
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
	names := []string{"id", "prompt", "model", "size", "quality", "n", "user_id", "save_as", "fit", "background", "set", "replace", "query", "limit", "cursor"}
	// The definitions leave out what agents know without it.
	obvious := map[string]string{
		"get_image save_as": "As in `generate_image`", "export_image id": "As in `get_image`",
		"export_image fit": "Crop (the default) or pad", "export_image set": "All files for a use at once",
	}
	var rows strings.Builder
	for _, name := range names {
		p, ok := schema.Properties[name]
		if !ok {
			continue
		}
		meaning := []string{}
		// In the definition, "above" refers to the description of the tool.
		description := strings.ReplaceAll(p.Description, "see above", "see [the models](#models-and-prices)")
		for _, part := range []string{description, obvious[tool+" "+name], strings.Join(p.Enum, ", ")} {
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

func errorTable() string {
	var b strings.Builder
	b.WriteString("| kind | meaning | what to do |\n|---|---|---|\n")
	for _, info := range resources.Kinds() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", info.Kind, info.Meaning, info.Remedy)
	}
	return b.String()
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
	raw := readFile(t, "mcp.json.example")
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
