package cli_test

import (
	"bytes"
	"encoding/json"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "golang.org/x/image/webp"

	"zai-image-mcp/resources"
)

// newImage generates an image in a new library, and returns its id and the environment that
// selects the library.
func newImage(t *testing.T, prompt string) (id string, env []string) {
	t.Helper()
	env = []string{"ZAI_IMAGE_STORE=" + filepath.Join(t.TempDir(), "library")}
	out, errs, exit := run(t, env, "generate", "--sandbox", "--size", "512x512", prompt)
	require.Zero(t, exit, errs)
	_, uri, _ := strings.Cut(strings.TrimSpace(out), "\n")
	return strings.TrimPrefix(uri, "zai-image://images/"), env
}

// exportsOf returns what images show prints of the files made from an image.
func exportsOf(t *testing.T, env []string, id string) (exports []struct{ Path, File, Spec, SHA256 string }) {
	t.Helper()
	out, errs, exit := run(t, env, "images", "show", id)
	require.Zero(t, exit, errs)
	var shown struct {
		Marks   []string
		Exports []struct{ Path, File, Spec, SHA256 string }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &shown))
	assert.NotNil(t, shown.Marks)
	return shown.Exports
}

func TestExport_File(t *testing.T) {
	t.Parallel()
	id, env := newImage(t, "a fox")
	folder := t.TempDir()
	for _, tt := range []struct {
		file   string
		args   []string
		format string
		width  int
		height int
	}{
		{"same.png", nil, "png", 512, 512},
		{"hero.webp", []string{"--size", "300x150"}, "webp", 300, 150},
		{"padded.JPG", []string{"--size", "60x30", "--fit", "contain", "--background", "#fff"}, "jpeg", 60, 30},
		{"large.jpeg", []string{"--size", "600x600"}, "jpeg", 600, 600},
		{filepath.Join("new", "folder", "small.png"), []string{"--size", "20x20"}, "png", 20, 20},
	} {
		path := filepath.Join(folder, tt.file)
		out, errs, exit := run(t, env, append([]string{"export", "zai-image://images/" + id, "-o", path}, tt.args...)...)
		require.Zero(t, exit, errs)
		assert.Equal(t, path+"\n", out)
		assert.Equal(t, tt.width > 512, strings.Contains(errs, "scaled up"), errs)
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		config, format, err := image.DecodeConfig(bytes.NewReader(b))
		require.NoError(t, err)
		assert.Equal(t, []any{tt.format, tt.width, tt.height}, []any{format, config.Width, config.Height}, tt.file)
	}
	exports := exportsOf(t, env, id)
	require.Len(t, exports, 5)
	assert.Equal(t, "webp-300x150-cover", exports[1].Spec)
	for _, e := range exports {
		assert.Equal(t, "unchanged", e.File, e.Path)
	}
}

// The record of a file stays. images show compares it with what is there.
func TestExport_ShownState(t *testing.T) {
	t.Parallel()
	id, env := newImage(t, "a fox")
	path := filepath.Join(t.TempDir(), "fox.png")
	state := func() string {
		exports := exportsOf(t, env, id)
		require.Len(t, exports, 1)
		assert.Equal(t, path, exports[0].Path)
		return exports[0].File
	}
	_, errs, exit := run(t, env, "export", id, "-o", path)
	require.Zero(t, exit, errs)
	assert.Equal(t, "unchanged", state())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[len(b)-1]++
	require.NoError(t, os.WriteFile(path, b, 0o600))
	assert.Equal(t, "changed", state(), "another byte")
	require.NoError(t, os.WriteFile(path, b[1:], 0o600))
	assert.Equal(t, "changed", state(), "another size")
	require.NoError(t, os.Remove(path))
	assert.Equal(t, "missing", state())
	require.NoError(t, os.Mkdir(path, 0o750))
	assert.Equal(t, "changed", state(), "a folder")
}

// Without a terminal, -o - writes the file to standard output and nothing else there.
func TestExport_Stdout(t *testing.T) {
	t.Parallel()
	id, env := newImage(t, "a fox")
	for format, args := range map[string][]string{"png": nil, "png sized": {"--size", "64x32"}} {
		out, errs, exit := run(t, env, append([]string{"export", id, "-o", "-"}, args...)...)
		require.Zero(t, exit, errs)
		_, decoded, err := image.Decode(strings.NewReader(out))
		require.NoError(t, err)
		assert.Equal(t, "png", decoded, format)
		assert.Contains(t, errs, "image/png, ")
	}
	assert.Empty(t, exportsOf(t, env, id), "no file was written")
}

func TestExport_Set(t *testing.T) {
	t.Parallel()
	id, env := newImage(t, "a fox")
	for _, tt := range []struct {
		set, output string
		files       []string
		markup      string
	}{
		{"favicon", "public/", []string{"favicon.ico", "favicon-32x32.png", "apple-touch-icon.png", "icon-192.png", "icon-512.png"}, `<link rel="icon" href="/favicon.ico"`},
		{"favicon", "assets/logo.png", []string{"logo.ico", "logo-32x32.png", "logo-apple-touch-icon.png", "logo-192.png", "logo-512.png"}, `href="/logo.ico"`},
		{"social", "share.jpg", []string{"share-1200x630.jpg", "share-1080x1080.jpg", "share-1500x500.jpg"}, `property="og:image"`},
	} {
		output := filepath.Join(t.TempDir(), filepath.FromSlash(tt.output))
		if strings.HasSuffix(tt.output, "/") {
			output += string(filepath.Separator)
		}
		out, errs, exit := run(t, env, "export", id, "--set", tt.set, "-o", output)
		require.Zero(t, exit, errs)
		paths, markup, found := strings.Cut(out, "\n\n")
		require.True(t, found, out)
		assert.Contains(t, markup, tt.markup)
		var want []string
		for _, name := range tt.files {
			path := filepath.Join(filepath.Dir(output), name)
			want = append(want, path)
			assert.FileExists(t, path)
		}
		assert.Equal(t, want, strings.Split(paths, "\n"))
	}
	assert.Len(t, exportsOf(t, env, id), 13)
}

// A set goes into a folder that exists, even if its name has an extension.
func TestExport_SetIntoFolderWithExtension(t *testing.T) {
	t.Parallel()
	id, env := newImage(t, "a fox")
	folder := filepath.Join(t.TempDir(), "example.com")
	require.NoError(t, os.Mkdir(folder, 0o750))
	_, errs, exit := run(t, env, "export", id, "--set", "favicon", "-o", folder)
	require.Zero(t, exit, errs)
	assert.FileExists(t, filepath.Join(folder, "favicon.ico"))
}

// Files that the user names are overwritten, as by generate -o. A link stays.
func TestExport_Overwrites(t *testing.T) {
	t.Parallel()
	id, env := newImage(t, "a fox")
	folder := t.TempDir()
	path, link := filepath.Join(folder, "fox.png"), filepath.Join(folder, "link.png")
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	if runtime.GOOS != "windows" { // links need a privilege there
		require.NoError(t, os.Symlink(path, link))
		_, errs, exit := run(t, env, "export", id, "-o", link, "--size", "16x16")
		require.Zero(t, exit, errs)
		info, err := os.Lstat(link)
		require.NoError(t, err)
		assert.NotZero(t, info.Mode()&os.ModeSymlink)
	}
	_, errs, exit := run(t, env, "export", id, "-o", path)
	require.Zero(t, exit, errs)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(b, []byte("\x89PNG")))
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "the file keeps its mode")
	}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(files), 2, "no partial files")
}

func TestExport_Labels(t *testing.T) {
	t.Parallel()
	id, env := newImage(t, "a fox in the snow")
	for name, tt := range map[string]struct {
		args          []string
		with, without []string
	}{
		"default":  {nil, []string{"algorithmicMedia", "zai-image://images/" + id}, []string{"AIPromptInformation", "TC260"}},
		"recipe":   {[]string{"--label", "recipe"}, []string{"algorithmicMedia", "AIPromptInformation", "a fox in the snow"}, nil},
		"none":     {[]string{"--label", "none"}, nil, []string{"algorithmicMedia", "xmpmeta", id}},
		"producer": {[]string{"--aigc-producer", " Example GmbH "}, []string{"algorithmicMedia", "TC260", "Example GmbH"}, nil},
	} {
		out, errs, exit := run(t, env, append([]string{"export", id, "-o", "-"}, tt.args...)...)
		require.Zero(t, exit, errs)
		for _, part := range tt.with {
			assert.Contains(t, out, part, name)
		}
		for _, part := range tt.without {
			assert.NotContains(t, out, part, name)
		}
	}
}

func TestExport_Failures(t *testing.T) {
	t.Parallel()
	id, env := newImage(t, "a fox")
	folder := t.TempDir()
	file, occupied := filepath.Join(folder, "fox.png"), filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(occupied, nil, 0o600))
	for name, tt := range map[string]struct {
		args []string
		exit int
		want string
	}{
		"no output":        {[]string{"export", id}, 2, "--output"},
		"empty output":     {[]string{"export", id, "-o", "", "--set", "favicon"}, 2, "-o names no file"},
		"no id":            {[]string{"export", "-o", file}, 2, "<id>"},
		"unknown id":       {[]string{"export", "01m7za857npknh1vt303c7mzmc", "-o", file}, 1, "no such image"},
		"other owner":      {[]string{"export", id, "-o", file, "--owner", "ann"}, 1, "no such image"},
		"extension":        {[]string{"export", id, "-o", file + ".txt"}, 2, ".webp"},
		"folder":           {[]string{"export", id, "-o", folder}, 2, "its extension names no format"},
		"below a file":     {[]string{"export", id, "-o", filepath.Join(occupied, "no", "x.png")}, 2, "Name a file in a folder"},
		"size":             {[]string{"export", id, "-o", file, "--size", "5000x10"}, 2, "4096"},
		"size form":        {[]string{"export", id, "-o", file, "--size", "big"}, 2, "WIDTHxHEIGHT"},
		"fit alone":        {[]string{"export", id, "-o", file, "--fit", "contain"}, 2, "fit"},
		"fit":              {[]string{"export", id, "-o", file, "--size", "10x10", "--fit", "stretch"}, 2, "contain"},
		"background":       {[]string{"export", id, "-o", file, "--background", "reddish"}, 2, "#ffffff"},
		"transparent JPEG": {[]string{"export", id, "-o", filepath.Join(folder, "x.jpg"), "--background", "transparent"}, 2, "transparent"},
		"no background":    {[]string{"export", id, "-o", file, "--background", "transparent"}, 1, "plain"},
		"set":              {[]string{"export", id, "-o", folder, "--set", "emoji"}, 2, "favicon"},
		"set, background":  {[]string{"export", id, "-o", filepath.Join(folder, "no", "icons"), "--set", "favicon", "--background", "transparent"}, 1, "plain"},
		"set with size":    {[]string{"export", id, "-o", folder, "--set", "favicon", "--size", "10x10"}, 2, "--set"},
		"set to stdout":    {[]string{"export", id, "-o", "-", "--set", "favicon"}, 2, "Name a folder"},
		"set stem":         {[]string{"export", id, "-o", file + ".txt", "--set", "favicon"}, 2, "extension"},
		"label":            {[]string{"export", id, "-o", file, "--label", "none", "--aigc-producer", "x"}, 2, "--aigc-producer"},
		"no library":       {[]string{"export", id, "-o", file, "--store", filepath.Join(folder, "none")}, 2, "there is no folder"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, errs, exit := run(t, env, tt.args...)
			assert.Equal(t, tt.exit, exit, errs)
			assert.Empty(t, out)
			assert.Contains(t, errs, tt.want)
		})
	}
	t.Cleanup(func() { isEmpty(t, folder, "nothing was written") })
}

// An image that is not saved cannot be exported.
func TestExport_NotSaved(t *testing.T) {
	t.Parallel()
	env := []string{"ZAI_IMAGE_STORE=" + filepath.Join(t.TempDir(), "library")}
	_, _, exit := run(t, env, "generate", "--sandbox", "--size", "512x512", "sandbox:outcome_unknown")
	require.Equal(t, 1, exit)
	out, _, _ := run(t, env, "images", "list", "--json")
	var entry struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(out), &entry))
	_, errs, exit := run(t, env, "export", entry.ID, "-o", filepath.Join(t.TempDir(), "x.png"))
	assert.Equal(t, 1, exit)
	assert.Contains(t, errs, "is not saved but unknown")
}

// The library does not make files from an original that is not what was saved.
func TestExport_OriginalMissing(t *testing.T) {
	t.Parallel()
	id, env := newImage(t, "a fox")
	path, errs, exit := run(t, env, "images", "path", id)
	require.Zero(t, exit, errs)
	require.NoError(t, os.Remove(strings.TrimSpace(path)))
	_, errs, exit = run(t, env, "export", id, "-o", filepath.Join(t.TempDir(), "x.png"))
	assert.Equal(t, 1, exit)
	assert.Contains(t, errs, "images repair")
}

func TestImages_DuAndPrune(t *testing.T) {
	t.Parallel()
	id, env := newImage(t, "a fox")
	file := filepath.Join(t.TempDir(), "fox.webp")
	_, errs, exit := run(t, env, "export", id, "-o", file, "--size", "64x64")
	require.Zero(t, exit, errs)
	month := time.Now().UTC().Format("2006-01")
	usage := func() (u resources.Usage) {
		out, errs, exit := run(t, env, "images", "du", "--json")
		require.Zero(t, exit, errs)
		require.NoError(t, json.Unmarshal([]byte(out), &u))
		return u
	}
	before := usage()
	require.Len(t, before.Months, 1)
	assert.Equal(t, []any{month, "local", 1}, []any{before.Months[0].Month, before.Months[0].Owner, before.Months[0].Images})
	assert.Equal(t, 1, before.Exports.Files)
	out, errs, exit := run(t, env, "images", "du")
	require.Zero(t, exit, errs)
	assert.Regexp(t, `(?m)^`+month+` +local +1 images +0\.\d MB$`, out)
	assert.Regexp(t, `(?m)^exports +1 files +`, out)
	out, _, _ = run(t, env, "images", "du", "--owner", "ann")
	assert.Regexp(t, `(?m)^total +0 images +`, out)

	_, errs, exit = run(t, env, "images", "prune")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "--exports")
	_, errs, exit = run(t, env, "images", "prune", "--exports", "--older-than", "soon")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "90d")
	out, errs, exit = run(t, env, "images", "prune", "--exports", "--older-than", "1d")
	require.Zero(t, exit, errs)
	assert.Contains(t, out, "0 cached exports")
	out, _, _ = run(t, env, "images", "check")
	assert.Contains(t, out, "1 exports of ")
	out, errs, exit = run(t, env, "images", "prune", "--exports")
	require.Zero(t, exit, errs)
	assert.Contains(t, out, "1 cached exports of 0.0 MB deleted.")
	after := usage()
	assert.Zero(t, after.Exports)
	assert.Equal(t, before.Months, after.Months)
	assert.FileExists(t, file, "files that were written for users stay")

	_, errs, exit = run(t, env, "images", "rm", id)
	require.Zero(t, exit, errs)
	assert.FileExists(t, file)
}
