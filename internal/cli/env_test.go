package cli_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/cli"
)

func TestEnv_EmptySettingsAreUnset(t *testing.T) {
	t.Parallel()
	env := []string{}
	for _, name := range []string{"WAIT", "SANDBOX", "REGION", "LOG_LEVEL", "DAILY_BUDGET", "INLINE", "STORE", "MODEL", "MAX_CONCURRENT"} {
		env = append(env, "ZAI_IMAGE_"+name+"=")
	}
	_, errs, exit := run(t, append(env, "ZAI_BASE_URL=", "ZAI_API_KEY="))
	assert.Zero(t, exit, errs)
}

// Desktop hosts have only free text fields for choices.
func TestEnv_ChoicesInAnyCase(t *testing.T) {
	t.Parallel()
	_, errs, exit := run(t, []string{"ZAI_IMAGE_REGION= China\t", "ZAI_IMAGE_INLINE=None", "ZAI_IMAGE_LOG_LEVEL=WARN"}, "--sandbox", "--transport", "STDIO", "--model", "cogview-3-flash")
	assert.Zero(t, exit, errs)
}

// A flag overrides its variable, even if the value of the variable is not valid.
// Variables for flags of other commands are not read.
func TestEnv_FlagOverridesVariable(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	env := []string{"ZAI_IMAGE_SANDBOX=1", "ZAI_IMAGE_DAILY_BUDGET=much", "ZAI_IMAGE_WAIT=soon", "ZAI_IMAGE_STORE=/does/not/exist"}
	_, errs, exit := run(t, env, "generate", "--daily-budget", "1", "--store", folder, "--size", "512x512", "a fox")
	assert.Zero(t, exit, errs)
	assert.Len(t, savedIn(t, folder), 1)
	_, errs, exit = run(t, env, "generate", "--store", folder, "a fox")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "ZAI_IMAGE_DAILY_BUDGET")
}

// A blank file of tokens or quotas is not ignored, because the server would then start
// without authentication or without limits.
func TestEnv_BlankAccessFilesFail(t *testing.T) {
	t.Parallel()
	for variable, flag := range map[string]string{"ZAI_IMAGE_AUTH_TOKENS": "--auth-tokens", "ZAI_IMAGE_QUOTAS": "--quotas"} {
		for _, value := range []string{"${CREDENTIALS_DIRECTORY}/tokens", "${user_config.tokens}", "null", "undefined"} {
			_, errs, exit := run(t, []string{variable + "=" + value}, "--sandbox", "--transport", "http", "--listen", "127.0.0.1:0")
			assert.Equal(t, 2, exit, value)
			assert.Contains(t, errs, flag)
		}
	}
}

// If the user leaves a field of the bundle blank, hosts set its variable to the
// empty string, to the placeholder, to "null" or to "undefined". The default
// applies.
func TestEnv_BlankBundleFields(t *testing.T) {
	var manifest struct {
		Server struct {
			Config struct{ Env map[string]string } `json:"mcp_config"`
		}
	}
	require.NoError(t, json.Unmarshal(cli.ReadFile(t, "packaging/manifest.json"), &manifest))
	require.NotEmpty(t, manifest.Server.Config.Env)
	for _, blank := range []string{"", "null", "undefined", "placeholder"} {
		t.Run(blank, func(t *testing.T) {
			home, here := t.TempDir(), t.TempDir()
			t.Chdir(here)
			env := []string{"XDG_PICTURES_DIR=" + filepath.Join(home, "Pictures")}
			for name, placeholder := range manifest.Server.Config.Env {
				if blank != "placeholder" {
					placeholder = blank
				}
				env = append(env, name+"="+placeholder)
			}
			p := newProcess(t, home, env)
			_, errs, exit := execute(t, p, "images", "list")
			require.Zero(t, exit, errs)
			_, errs, exit = execute(t, p, "generate", "--size", "512x512", "a fox")
			assert.Equal(t, 1, exit)
			assert.Contains(t, errs, "no_api_key")
			isEmpty(t, here, "no folder with the name of the placeholder")
		})
	}
}
