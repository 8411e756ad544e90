package cli_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/cli"
	"zai-image-mcp/internal/testrig"
)

// The command prints an address that shows the images of the library, and ends without an
// error.
func TestGallery(t *testing.T) {
	t.Parallel()
	env := append(testrig.PlaceOf(t, t.TempDir()).Env(), "ZAI_IMAGE_SANDBOX=1")
	_, errs, exit := run(t, env, "generate", "--size", "512x512", "a heron")
	require.Zero(t, exit, errs)
	p := newProcess(t, t.TempDir(), env)
	read, write := io.Pipe()
	p.Stdout = write
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int, 1)
	go func() { ended <- cli.Run(ctx, p, []string{"gallery", "--no-open"}) }()
	address, err := bufio.NewReader(read).ReadString('\n')
	require.NoError(t, err)
	address = strings.TrimSpace(address)
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+/gallery/\?key=[A-Z0-9]{26}$`, address)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	page := func(client *http.Client) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		require.NoError(t, err)
		response, err := client.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(text)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	status, text := page(&http.Client{Jar: jar, Transport: transport})
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, "a heron")
	status, _ = page(&http.Client{Transport: transport})
	assert.Equal(t, http.StatusForbidden, status, "the key was used")
	stop()
	assert.Zero(t, <-ended)
}

func TestGallery_Usage(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	_, errs, exit := run(t, nil, "gallery")
	assert.Zero(t, exit)
	assert.Contains(t, errs, "no images yet")
	isEmpty(t, folder, "nothing is created")
	_, errs, exit = run(t, []string{"ZAI_IMAGE_SANDBOX=1", "ZAI_IMAGE_STORE=" + folder}, "generate", "--size", "512x512", "x")
	require.Zero(t, exit, errs)
	for _, address := range []string{"0.0.0.0:0", ":8080", "192.0.2.1:0", "127.0.0.1"} {
		out, errs, exit := run(t, nil, "gallery", "--store", folder, "--listen", address)
		assert.Equal(t, 2, exit, address)
		assert.Contains(t, errs, "--listen")
		assert.Empty(t, out)
	}
	_, _, exit = run(t, nil, "gallery", "--store", folder+"-missing")
	assert.Equal(t, 2, exit)
}
