package cli_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// A setting that decides who may use the server is never taken for a blank one, and needs
// the issuer that it belongs to.
func TestOIDC_WrongSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ variable, value, flag string }{
		{"ISSUER", "${user_config.issuer}", "--oidc-issuer"},
		{"ISSUER", "null", "--oidc-issuer"},
		{"ISSUER", "http://id.example.com", "--oidc-issuer"},
		{"AUDIENCE", "null", "--oidc-audience"},
		{"AUDIENCE", "https://images.example.com/mcp", "--oidc-audience"},
		{"OWNER_CLAIM", "undefined", "--oidc-owner-claim"},
		{"CLIENT_ID", "null", "--oidc-client-id"},
		{"CLIENT_ID", "gallery", "--oidc-client-id"},
		{"SCOPES", "${user_config.scopes}", "--oidc-scopes"},
	} {
		env := []string{"ZAI_IMAGE_OIDC_" + tt.variable + "=" + tt.value}
		_, errs, exit := run(t, env, "--sandbox", "--transport", "http", "--listen", "127.0.0.1:0")
		assert.Equal(t, 2, exit, tt)
		assert.Contains(t, errs, tt.flag)
		_, errs, exit = run(t, env, "--sandbox")
		assert.Zero(t, exit, "over stdio the settings are ignored: %s", errs)
	}
	_, errs, exit := run(t, nil, "--sandbox", "--transport", "http", "--listen", "0.0.0.0:0")
	assert.Equal(t, 2, exit)
	assert.Contains(t, errs, "--oidc-issuer")
}

// The images of an owner of an issuer are listed and added up under the owner's full name.
func TestOIDC_OwnerInCommands(t *testing.T) {
	t.Parallel()
	issuer := testrig.NewIssuer(t)
	folder := t.TempDir()
	env := []string{
		"ZAI_IMAGE_STORE=" + folder, "ZAI_IMAGE_LOG_FORMAT=json", "ZAI_IMAGE_OIDC_ISSUER=" + issuer.URL, "ZAI_IMAGE_OIDC_AUDIENCE=a,https://images.example.com/mcp",
		"ZAI_IMAGE_OIDC_OWNER_CLAIM=email",
	}
	log, stop := start(t, newProcess(t, t.TempDir(), env), "--sandbox", "--transport", "http", "--listen", "127.0.0.1:0")
	address := testrig.Listening(t, log)
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"a fox","size":"512x512"},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/mcp", strings.NewReader(call))
	require.NoError(t, err)
	for name, value := range map[string]string{
		"Authorization": "Bearer " + issuer.Token("ann", map[string]any{"email": "ann@example.com"}), "Content-Type": "application/json",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "generate_image",
	} {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, string(text))
	require.NotContains(t, string(text), `"isError":true`)
	assert.Zero(t, stop())

	_, host, _ := strings.Cut(issuer.URL, "://")
	owner := host + "/ann@example.com"
	settings := []string{"ZAI_IMAGE_STORE=" + folder}
	out, errs, exit := run(t, settings, "images", "--owner", owner, "list")
	require.Zero(t, exit, errs)
	assert.Contains(t, out, "a fox")
	out, errs, exit = run(t, settings, "images", "--owner", "ann@example.com", "list")
	require.Zero(t, exit, errs)
	assert.NotContains(t, out, "a fox")
	out, errs, exit = run(t, settings, "images", "spend")
	require.Zero(t, exit, errs)
	assert.Contains(t, out, owner)
}
