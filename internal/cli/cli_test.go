package cli_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/internal/cli"
)

func TestRun_ExitStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  []string
		args []string
		exit int
		want []string // parts of stderr
	}{
		{"flag", nil, []string{"--colour"}, 2, []string{"unknown flag --colour", "--help"}},
		{"command", nil, []string{"paint"}, 2, []string{"paint", "--help"}},
		{"transport", nil, []string{"--transport", "carrier-pigeon"}, 2, []string{"--transport", "stdio"}},
		{"region", []string{"ZAI_IMAGE_REGION=mars"}, nil, 2, []string{"region", "china"}},
		{"model", nil, []string{"--model", "dall-e"}, 2, []string{"dall-e", "glm-image"}},
		{"model of the other region", nil, []string{"--model", "cogview-3-flash"}, 2, []string{"only in region china"}},
		{"base URL", []string{"ZAI_API_KEY=k"}, []string{"--base-url", "ftp://x"}, 2, []string{"--base-url", "https://"}},
		{"base URL without key", nil, []string{"--base-url", "nonsense"}, 2, []string{"--base-url"}},
		{"bucket", nil, []string{"--store", "s3://bucket"}, 2, []string{"a bucket cannot contain the catalog"}},
		{"other database", nil, []string{"--catalog", "mysql://ann:s3cret@x/y"}, 2, []string{"--catalog mysql://…", "PostgreSQL"}},
		{"password in a flag", nil, []string{"--catalog", "postgres://ann:s3cret@x/y"}, 2, []string{"contains a password", "ZAI_IMAGE_CATALOG_FILE"}},
		{"password as parameter of a flag", nil, []string{"--catalog", "postgres://x/y?password=s3cret"}, 2, []string{"contains a password"}},
		{"invalid URL", []string{"ZAI_IMAGE_CATALOG=postgres://ann:s3cret/@x:y/z"}, nil, 2, []string{"percent codes", "ZAI_IMAGE_CATALOG"}},
		{"missing catalog file", []string{"ZAI_IMAGE_CATALOG_FILE=/does/not/exist"}, nil, 2, []string{"ZAI_IMAGE_CATALOG_FILE", "/does/not/exist"}},
		{"key file", []string{"ZAI_API_KEY_FILE=/does/not/exist"}, []string{"generate", "a fox"}, 1, []string{"ZAI_API_KEY_FILE", "/does/not/exist", "(kind: no_api_key)"}},
		{"images alone", nil, []string{"images"}, 2, []string{"images", "--help"}},
		{"budget NaN", nil, []string{"--daily-budget", "NaN"}, 2, []string{"--daily-budget"}},
		{"budget too small", nil, []string{"--daily-budget", "0.0000004"}, 2, []string{"--daily-budget"}},
		{"budget with a comma", []string{"ZAI_IMAGE_DAILY_BUDGET=5,00"}, nil, 2, []string{"--daily-budget", `"5,00" is not an amount of dollars`, "ZAI_IMAGE_DAILY_BUDGET"}},
		{"watermark", nil, []string{"--watermark", "remove"}, 2, []string{"--watermark", "keep"}},
		{"label", []string{"ZAI_IMAGE_LABEL=visible"}, nil, 2, []string{"--label", "recipe"}},
		{"producer without labels", []string{"ZAI_IMAGE_AIGC_PRODUCER=me"}, []string{"--label", "none"}, 2, []string{"--aigc-producer", "--label none"}},
		{"producer of two lines", nil, []string{"--aigc-producer", "a\nb"}, 2, []string{"--aigc-producer", "not text"}},
		{"producer too long", nil, []string{"--aigc-producer", strings.Repeat("字", 101)}, 2, []string{"--aigc-producer", "100"}},
		{"wait", nil, []string{"--wait", "soon"}, 2, []string{"--wait"}},
		{"link lifetime", nil, []string{"--transport", "http", "--link-lifetime", "0s"}, 2, []string{"--link-lifetime"}},
		{"no prompt", nil, []string{"generate"}, 2, []string{"prompt"}},
		{"no key", nil, []string{"generate", "a fox"}, 1, []string{"ZAI_API_KEY", "(kind: no_api_key)"}},
		{"bad size", nil, []string{"generate", "--sandbox", "--size", "1x1", "a fox"}, 1, []string{"512 to 2048", "(kind: invalid_argument)"}},
		{"refused", nil, []string{"generate", "--sandbox", "sandbox:content_blocked"}, 1, []string{"(kind: content_blocked)"}},
		{"unknown image", nil, []string{"images", "show", "x"}, 1, []string{"no such image"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, errs, exit := run(t, tt.env, tt.args...)
			assert.Equal(t, tt.exit, exit)
			assert.Empty(t, out)
			for _, want := range tt.want {
				assert.Contains(t, errs, want)
			}
			assert.NotContains(t, errs, "s3cret")
			if tt.exit == 2 {
				assert.Len(t, strings.Split(strings.TrimSpace(errs), "\n"), 2, "one line for the problem, one for what to do: %s", errs)
			}
		})
	}
}

func TestRun_VersionAndHelp(t *testing.T) {
	t.Parallel()
	out, _, exit := run(t, nil, "version")
	assert.Zero(t, exit)
	assert.Equal(t, cli.Version+"\n", out)
	out, errs, exit := run(t, []string{"ZAI_IMAGE_REGION=mars"}, "--version")
	assert.Zero(t, exit, errs)
	assert.Equal(t, cli.Version+"\n", out)
	out, errs, exit = run(t, nil, "serve", "--help")
	assert.Zero(t, exit)
	assert.Contains(t, out, "ZAI_IMAGE_STORE")
	assert.NotContains(t, out, "--api-key", "secrets have no flag")
	assert.Empty(t, errs)
}

func TestRun_ErrorsHideSecretsOfURLs(t *testing.T) {
	t.Parallel()
	_, errs, exit := run(t, nil, "--base-url", "https://u:SECRET@h/x?key=SECRET#SECRET")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "https://h/x")
	assert.NotContains(t, errs, "SECRET")
}
