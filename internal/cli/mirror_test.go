package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/internal/cli"
)

func TestMirroredBy(t *testing.T) {
	t.Parallel()
	for folder, want := range map[string]string{
		`C:\Users\me\OneDrive\Pictures\zai-images`:                          "OneDrive",
		`C:\Users\me\OneDrive - Contoso Ltd\Pictures`:                       "OneDrive",
		`C:\Users\me\iCloudDrive\ai`:                                        "iCloud",
		`G:\My Drive\ai`:                                                    "Google Drive",
		"/home/me/Dropbox/ai":                                               "Dropbox",
		"/home/me/Dropbox (Work)/ai":                                        "Dropbox",
		"/home/me/Nextcloud/Photos":                                         "Nextcloud",
		"/Users/me/Library/CloudStorage/OneDrive-Personal/ai":               "OneDrive",
		"/Users/me/Library/CloudStorage/GoogleDrive-me@x.org/My Drive":      "Google Drive",
		"/Users/me/Library/CloudStorage/Dropbox/ai":                         "Dropbox",
		"/Users/me/Library/CloudStorage/Box-Box/ai":                         "a cloud service",
		"/Users/me/Library/Mobile Documents/com~apple~CloudDocs/zai-images": "iCloud",
		"/home/me/Pictures/zai-images":                                      "",
		"/home/me/dropbox-notes/ai":                                         "",
		`C:\Users\me\Pictures\zai-images`:                                   "",
	} {
		assert.Equal(t, want, cli.MirroredBy(folder, func(string) string { return "" }), folder)
	}
	root := t.TempDir()
	env := func(name string) string { return map[string]string{"OneDriveCommercial": root}[name] }
	assert.Equal(t, "OneDrive", cli.MirroredBy(filepath.Join(root, "not", "there", "yet"), env))
	assert.Equal(t, "OneDrive", cli.MirroredBy(root, env))
	assert.Empty(t, cli.MirroredBy(root+"-beside", env))
	link := filepath.Join(t.TempDir(), "link")
	if os.Symlink(root, link) == nil {
		assert.Equal(t, "OneDrive", cli.MirroredBy(filepath.Join(link, "ai"), env))
	}
}
