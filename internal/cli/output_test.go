package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// To look at a library makes none, so that a misspelled name is noticed.
func TestImages_NoLibrary(t *testing.T) {
	commands := [][]string{
		{"images", "list"}, {"images", "list", "--json"}, {"images", "show", "x"}, {"images", "path", "x"}, {"images", "rm", "x"}, {"images", "spend"},
		{"images", "check"}, {"images", "repair"}, {"images", "reindex"},
	}
	for _, args := range commands {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			home := t.TempDir()
			typo := filepath.Join(home, "pictuers", "ai")
			for _, given := range []struct{ env, args []string }{{nil, []string{"--store", typo}}, {[]string{"ZAI_IMAGE_STORE=" + typo}, nil}} {
				out, errs, exit := run(t, given.env, append(args, given.args...)...)
				assert.Equal(t, 2, exit)
				assert.Empty(t, out)
				assert.Contains(t, errs, "no folder "+typo)
			}
			empty := t.TempDir()
			if args[1] != "reindex" {
				_, errs, exit := run(t, nil, append(args, "--store", empty)...)
				assert.Equal(t, 1, exit)
				assert.Contains(t, errs, "images reindex")
			}
			// A user who made nothing yet has no library, which is no mistake.
			c := command(t, home, []string{"XDG_PICTURES_DIR=" + filepath.Join(home, "Pictures")}, args...)
			out, err := c.CombinedOutput()
			if args[1] == "list" || args[1] == "spend" {
				require.NoError(t, err)
				assert.Empty(t, out)
			} else {
				require.Error(t, err)
			}
			for _, folder := range []string{home, empty} {
				left, err := os.ReadDir(folder)
				require.NoError(t, err)
				assert.Empty(t, left, "nothing is made")
			}
		})
	}
}

// What is wrong with -o is found out before the image is paid for.
func TestGenerate_OutputIsCheckedFirst(t *testing.T) {
	folder := t.TempDir()
	readOnly := filepath.Join(folder, "read-only.png")
	require.NoError(t, os.WriteFile(readOnly, []byte("mine"), 0o400))
	for name, tt := range map[string]struct{ args, want []string }{
		"no folder":  {[]string{"-o", filepath.Join(folder, "none", "x.png")}, []string{"-o: ", "there is no folder " + filepath.Join(folder, "none")}},
		"a folder":   {[]string{"-o", folder}, []string{"is a folder"}},
		"below file": {[]string{"-o", filepath.Join(readOnly, "x.png")}, []string{"-o: "}},
		"several":    {[]string{"-o", "-", "-n", "2"}, []string{"one image, not several"}},
		"read-only":  {[]string{"-o", readOnly}, []string{"-o: "}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "read-only" && (os.Getuid() == 0 || runtime.GOOS == "windows") {
				t.Skip("NOT TESTED here: this user may write to every file")
			}
			store := filepath.Join(t.TempDir(), "store")
			out, errs, exit := run(t, []string{"ZAI_IMAGE_STORE=" + store}, append([]string{"generate", "--sandbox", "--size", "512x512", "a fox"}, tt.args...)...)
			assert.Equal(t, 2, exit, errs)
			assert.Empty(t, out)
			for _, want := range tt.want {
				assert.Contains(t, errs, want)
			}
			assert.NoDirExists(t, store, "nothing was made")
		})
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 1, "to check leaves nothing behind")
}

func TestGenerate_OutputToStandardOutput(t *testing.T) {
	folder := t.TempDir()
	out, errs, exit := run(t, []string{"ZAI_IMAGE_STORE=" + folder}, "generate", "--sandbox", "--size", "512x512", "-o", "-", "a fox")
	require.Zero(t, exit, errs)
	saved, err := filepath.Glob(filepath.Join(folder, "*", "*", "*", "*.png"))
	require.NoError(t, err)
	require.Len(t, saved, 1)
	want, err := os.ReadFile(saved[0])
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, []byte(out)), "the bytes and nothing else")
	assert.Contains(t, errs, saved[0])
	assert.Contains(t, errs, "zai-image://images/")
	assert.NoFileExists(t, "-")
}

func TestVersionFlag(t *testing.T) {
	out, errs, exit := run(t, []string{"ZAI_IMAGE_REGION=mars"}, "--version")
	assert.Zero(t, exit, errs)
	assert.Equal(t, version+"\n", out)
}
