package cli

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai/sandbox"
)

// Behind a mandatory proxy each image would be paid for and none fetched.
func TestProxy_IsToldBeforeThePayment(t *testing.T) {
	proxy := httptest.NewServer(sandbox.New(sandbox.Options{})) // answers for every host
	t.Cleanup(proxy.Close)
	address := strings.Replace(proxy.URL, "http://", "http://user:password@", 1)
	env := []string{"ZAI_API_KEY=k", "ZAI_BASE_URL=http://api.invalid" + sandbox.BasePath, "ZAI_IMAGE_STORE=" + t.TempDir(), "HTTP_PROXY=" + address}
	const want = "images are downloaded without one"
	serve := func(env []string) string {
		c := command(t, t.TempDir(), env)
		c.Stdin = strings.NewReader("")
		log, err := c.CombinedOutput()
		require.NoError(t, err)
		return string(log)
	}
	for said, log := range map[string]string{"server": serve(env), "doctor": first(run(t, env, "doctor")), "generate": second(run(t, env, "generate", "--size", "1x1", "a fox"))} {
		assert.Contains(t, log, want, said)
		assert.Contains(t, log, proxy.URL, said)
		assert.NotContains(t, log, "password", said)
	}
	out, _, exit := run(t, env, "doctor")
	assert.Zero(t, exit, "a warning is no problem: %s", out)
	for _, none := range [][]string{{"NO_PROXY=api.invalid"}, {"ZAI_IMAGE_SANDBOX=1"}, {"HTTP_PROXY="}} {
		assert.NotContains(t, serve(append(env, none...)), want, none)
	}
}

func first(out, _ string, _ int) string  { return out }
func second(_, err string, _ int) string { return err }

func TestDoctor_MirroredFolder(t *testing.T) {
	api := httptest.NewServer(sandbox.New(sandbox.Options{}))
	t.Cleanup(api.Close)
	env := []string{"ZAI_API_KEY=k", "ZAI_BASE_URL=" + api.URL + sandbox.BasePath, "ZAI_IMAGE_STORE=" + filepath.Join(t.TempDir(), "OneDrive", "Pictures")}
	out, errs, exit := run(t, env, "doctor")
	assert.Zero(t, exit, out+errs)
	assert.Contains(t, out, "WARNING  catalog")
	assert.Contains(t, out, "OneDrive copies to other machines")
	out, _, _ = run(t, append(env, "ZAI_IMAGE_CATALOG="+filepath.Join(t.TempDir(), "c.db")), "doctor")
	assert.NotContains(t, out, "WARNING")
}
