package cli_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// With --sandbox, generate starts a sandbox, which takes about a second for each
// image.
func TestGenerate_BuiltInSandbox(t *testing.T) {
	t.Parallel()
	copied := filepath.Join(t.TempDir(), "kitten.png")
	p := newProcess(t, t.TempDir(), nil)
	p.NewClient = nil
	out, errs, exit := execute(t, p, "generate", "--sandbox", "-o", copied, "-n", "2", "--size", "512x512", "A cute little kitten")
	require.Zero(t, exit, errs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 4)
	assert.Equal(t, copied, lines[0])
	assert.Regexp(t, `^zai-image://images/[0-9a-z]{26}$`, lines[1])
	for _, path := range []string{lines[0], lines[2]} {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, bytes.HasPrefix(b, []byte("\x89PNG")))
	}
	assert.Contains(t, errs, "generating")
	assert.Contains(t, errs, "sandbox")
}

func TestGenerate_Watermark(t *testing.T) {
	t.Parallel()
	const request = `"model":"cogview-4-250304","prompt":"a fox","quality":"standard","size":"512x512"`
	for setting, want := range map[string]string{"": "{" + request + "}", "keep": "{" + request + "}", "off": "{" + request + `,"watermark_enabled":false}`} {
		var body []byte
		api := testrig.API(t, func(o *testrig.APIOptions) {
			o.Wrap = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost {
						body, _ = io.ReadAll(r.Body)
						r.Body = io.NopCloser(bytes.NewReader(body))
					}
					next.ServeHTTP(w, r)
				})
			}
		})
		_, errs, exit := run(t, append(api.Env(), "ZAI_IMAGE_WATERMARK="+setting), "generate", "--size", "512x512", "a fox")
		require.Zero(t, exit, errs)
		assert.Equal(t, want, string(body), "--watermark %s", setting)
	}
}

// If the file of -o cannot be written, generate fails before the image is paid
// for.
func TestGenerate_ChecksOutputFirst(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	readOnly := filepath.Join(folder, "read-only.png")
	require.NoError(t, os.WriteFile(readOnly, []byte("mine"), 0o400))
	for name, tt := range map[string]struct{ args, want []string }{
		"no folder":  {[]string{"-o", filepath.Join(folder, "none", "x.png")}, []string{"-o: ", "there is no folder " + filepath.Join(folder, "none")}},
		"a folder":   {[]string{"-o", folder}, []string{"is a folder"}},
		"below file": {[]string{"-o", filepath.Join(readOnly, "x.png")}, []string{"-o: "}},
		"several":    {[]string{"-o", "-", "-n", "2"}, []string{"only one image"}},
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
			assert.NoDirExists(t, store, "nothing was generated")
		})
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 1, "the check leaves no files")
}

func TestGenerate_OutputToStdout(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	out, errs, exit := run(t, []string{"ZAI_IMAGE_STORE=" + folder}, "generate", "--sandbox", "--size", "512x512", "-o", "-", "a fox")
	require.Zero(t, exit, errs)
	saved := savedIn(t, folder)
	require.Len(t, saved, 1)
	want, err := os.ReadFile(saved[0])
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, []byte(out)), "the bytes and nothing else")
	assert.Contains(t, errs, saved[0])
	assert.Contains(t, errs, "zai-image://images/")
	assert.NoFileExists(t, "-")
}
