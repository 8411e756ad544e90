package render_test

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/render"
)

// names returns "name spec" for each file of a set.
func names(t *testing.T, set render.Set, name, fit, background string) []string {
	t.Helper()
	files, err := set.Files(name, fit, background)
	require.NoError(t, err)
	var list []string
	for _, f := range files {
		list = append(list, f.Name+" "+f.Spec.String())
	}
	return list
}

func TestSet_Files(t *testing.T) {
	favicons := []string{
		"public/favicon.ico ico",
		"public/favicon-32x32.png png-32x32-cover",
		"public/apple-touch-icon.png png-180x180-cover-ffffff",
		"public/icon-192.png png-192x192-cover",
		"public/icon-512.png png-512x512-cover",
	}
	assert.Equal(t, favicons, names(t, render.Favicon, "public/", "", ""))
	assert.Equal(t, favicons, names(t, render.Favicon, "public", "", ""))
	assert.Equal(t, []string{
		"assets/logo.ico ico-contain-transparent",
		"assets/logo-32x32.png png-32x32-contain-transparent",
		"assets/logo-apple-touch-icon.png png-180x180-contain-ffffff",
		"assets/logo-192.png png-192x192-contain-transparent",
		"assets/logo-512.png png-512x512-contain-transparent",
	}, names(t, render.Favicon, "assets/logo.png", "contain", "transparent"))
	assert.Equal(t, []string{
		"res/AppIcon-1024.png png-1024x1024-cover-112233",
		"res/mipmap-mdpi/ic_launcher.png png-48x48-cover-112233",
		"res/mipmap-hdpi/ic_launcher.png png-72x72-cover-112233",
		"res/mipmap-xhdpi/ic_launcher.png png-96x96-cover-112233",
		"res/mipmap-xxhdpi/ic_launcher.png png-144x144-cover-112233",
		"res/mipmap-xxxhdpi/ic_launcher.png png-192x192-cover-112233",
		"res/ic_launcher-playstore.png png-512x512-cover-112233",
	}, names(t, render.AppIcon, "res", "cover", "#123"))
	assert.Equal(t, []string{
		"res/icon-1024.png png-1024x1024-cover-ffffff",
		"res/mipmap-mdpi/icon.png png-48x48-cover",
		"res/mipmap-hdpi/icon.png png-72x72-cover",
		"res/mipmap-xhdpi/icon.png png-96x96-cover",
		"res/mipmap-xxhdpi/icon.png png-144x144-cover",
		"res/mipmap-xxxhdpi/icon.png png-192x192-cover",
		"res/icon-playstore.png png-512x512-cover",
	}, names(t, render.AppIcon, "res/icon.png", "", ""))
	assert.Equal(t, []string{
		"social-1200x630.png png-1200x630-cover", "social-1080x1080.png png-1080x1080-cover", "social-1500x500.png png-1500x500-cover",
	}, names(t, render.Social, ".", "", ""))
	assert.Equal(t, []string{
		"og/hero-1200x630.jpeg jpg-1200x630-contain", "og/hero-1080x1080.jpeg jpg-1080x1080-contain", "og/hero-1500x500.jpeg jpg-1500x500-contain",
	}, names(t, render.Social, "og/hero.jpeg", "contain", ""))
}

// Paths are judged by who writes them, so a set must not hide what is wrong with a name.
func TestSet_FilesKeepTheFolder(t *testing.T) {
	for name, want := range map[string]string{
		"": "", ".": "", "./": "", "..": "../", "/": "/", "/etc": "/etc/", "a/../b": "a/../b/", "../x.png": "../", "site.v2/": "site.v2/",
		".well-known": ".well-known/", ".git": ".git/", `a\b`: `a\b/`, "a/.png": "a/.png/", "nul\x00": "nul\x00/",
	} {
		files, err := render.AppIcon.Files(name, "", "")
		require.NoError(t, err, name)
		folder, _, _ := strings.Cut(files[1].Name, "mipmap-mdpi/")
		assert.Equal(t, want, folder, name)
	}
}

func TestSet_Refuses(t *testing.T) {
	for _, c := range []struct {
		set                   render.Set
		name, fit, background string
		problem               string
	}{
		{"banner", "public", "", "", `There is no set "banner".`},
		{render.Favicon, "public/site.svg", "", "", `has the extension ".svg"`},
		{render.Favicon, "public/site.v2", "", "", `has the extension ".v2"`},
		{render.Favicon, "public", "fill", "", `There is no fit "fill".`},
		{render.Favicon, "public", "", "pink", `background "pink" is neither`},
		{render.Social, "public/x.ico", "", "", "An ICO file cannot have the size 1200x630."},
		{render.Social, "public/x.jpg", "", "transparent", "A JPEG cannot be transparent."},
	} {
		_, err := c.set.Files(c.name, c.fit, c.background)
		var spec *render.SpecError
		require.ErrorAs(t, err, &spec, c.problem)
		assert.Contains(t, spec.Problem, c.problem)
		assert.NotEmpty(t, spec.Hint)
	}
}

func TestSet_Markup(t *testing.T) {
	favicon := render.Favicon.Markup([]string{
		"public/favicon-2.ico", "public/favicon-32x32.png", `public/a "b" & ü.png`, "assets/icon-192.png", "icon-512.png",
	})
	assert.Equal(t, `<link rel="icon" href="/favicon-2.ico" sizes="16x16 32x32 48x48">
<link rel="icon" type="image/png" href="/favicon-32x32.png" sizes="32x32">
<link rel="apple-touch-icon" href="/a%20%22b%22%20&amp;%20%C3%BC.png">
"icons": [{"src": "/assets/icon-192.png", "sizes": "192x192", "type": "image/png"}, {"src": "/icon-512.png", "sizes": "512x512", "type": "image/png"}]`, favicon)
	lines := strings.Split(favicon, "\n")
	assert.True(t, json.Valid([]byte("{"+lines[3]+"}")))
	for _, line := range lines[:3] {
		require.NoError(t, xml.Unmarshal([]byte(strings.Replace(line, ">", "/>", 1)), new(struct{ XMLName xml.Name })))
	}
	assert.Equal(t, `<meta property="og:image" content="https://example.com/social-1200x630.png">
<meta property="og:image:width" content="1200">
<meta property="og:image:height" content="630">`, render.Social.Markup([]string{"public/social-1200x630.png", "b", "c"}))
	assert.Equal(t, `<link rel="apple-touch-icon" href="/x.png">`, render.Favicon.Markup([]string{"", "", "x.png", "", ""}))
	assert.Empty(t, render.AppIcon.Markup(make([]string, 7)))
	assert.Empty(t, render.Social.Markup([]string{"", "b", "c"}))
	assert.Empty(t, render.Favicon.Markup(nil))
	assert.Empty(t, render.Set("banner").Markup(nil))
}
