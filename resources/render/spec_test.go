package render_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources/render"
)

func TestNewSpec_Canonical(t *testing.T) {
	for _, c := range []struct {
		format                render.Format
		size, fit, background string
		want                  render.Spec
		text                  string
	}{
		{render.PNG, "", "", "", render.Spec{Format: render.PNG}, "png"},
		{render.PNG, "", "", "Transparent", render.Spec{Format: render.PNG, Background: "transparent"}, "png-transparent"},
		{render.JPEG, "", "", "#FFF", render.Spec{Format: render.JPEG, Background: "#ffffff"}, "jpg-ffffff"},
		{render.WebP, "1200x630", "", "", render.Spec{render.WebP, 1200, 630, render.Cover, ""}, "webp-1200x630-cover"},
		{render.WebP, " 1200X630 ", "COVER", "", render.Spec{render.WebP, 1200, 630, render.Cover, ""}, "webp-1200x630-cover"},
		{render.JPEG, "800x800", "contain", "#a0B0c0", render.Spec{render.JPEG, 800, 800, render.Contain, "#a0b0c0"}, "jpg-800x800-contain-a0b0c0"},
		{render.PNG, "1x4096", "contain", "transparent", render.Spec{render.PNG, 1, 4096, render.Contain, "transparent"}, "png-1x4096-contain-transparent"},
		{render.ICO, "", "", "", render.Spec{Format: render.ICO, Fit: render.Cover}, "ico"},
		{render.ICO, "", "contain", "", render.Spec{Format: render.ICO, Fit: render.Contain}, "ico-contain"},
		{render.ICO, "256x256", "", "#123", render.Spec{render.ICO, 256, 256, render.Cover, "#112233"}, "ico-256x256-cover-112233"},
	} {
		t.Run(c.text, func(t *testing.T) {
			got, err := render.NewSpec(c.format, c.size, c.fit, c.background)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.text, got.String())
			parsed, err := render.ParseSpec(c.text)
			require.NoError(t, err)
			assert.Equal(t, c.want, parsed)
		})
	}
}

func TestNewSpec_Refuses(t *testing.T) {
	for _, c := range []struct {
		format                render.Format
		size, fit, background string
		problem, hint         string
	}{
		{"", "", "", "", `There is no format "".`, "webp"},
		{"gif", "", "", "", `There is no format "gif".`, "webp"},
		{"PNG", "", "", "", `There is no format "PNG".`, "png"},
		{render.PNG, "0x1", "", "", "The size 0x1 is out of range.", "4096"},
		{render.PNG, "4097x1", "", "", "The size 4097x1 is out of range.", "4096"},
		{render.PNG, "1x999999999", "", "", "The size 1x999999999 is out of range.", "4096"},
		{render.PNG, "1x99999999999999999999", "", "", "is not WIDTHxHEIGHT.", "1200x630"},
		{render.PNG, "512", "", "", `size "512" is not WIDTHxHEIGHT.`, "1200x630"},
		{render.PNG, "-1x5", "", "", "is not WIDTHxHEIGHT.", "1200x630"},
		{render.PNG, "5x5x5", "", "", "is not WIDTHxHEIGHT.", "1200x630"},
		{render.PNG, "５x５", "", "", "is not WIDTHxHEIGHT.", "1200x630"},
		{render.PNG, "8x8", "fill", "", `There is no fit "fill".`, "contain"},
		{render.PNG, "", "cover", "", "fit needs a size.", "1200x630"},
		{render.PNG, "", "", "red", `background "red" is neither a color nor transparent.`, "#ffffff"},
		{render.PNG, "", "", "ffffff", "is neither a color nor transparent.", "#ffffff"},
		{render.PNG, "", "", "#ggg", "is neither a color nor transparent.", "#ffffff"},
		{render.PNG, "", "", "#ffff", "is neither a color nor transparent.", "#ffffff"},
		{render.PNG, "", "", "#ffffff00", "is neither a color nor transparent.", "#ffffff"},
		{render.JPEG, "", "", "transparent", "A JPEG cannot be transparent.", "png"},
		{render.ICO, "32x16", "", "", "An ICO file cannot have the size 32x16.", "256x256"},
		{render.ICO, "257x257", "", "", "An ICO file cannot have the size 257x257.", "256x256"},
	} {
		t.Run(string(c.format)+" "+c.size+" "+c.fit+" "+c.background, func(t *testing.T) {
			_, err := render.NewSpec(c.format, c.size, c.fit, c.background)
			var spec *render.SpecError
			require.ErrorAs(t, err, &spec)
			assert.Contains(t, spec.Problem, c.problem)
			assert.Contains(t, spec.Hint, c.hint)
			assert.Equal(t, spec.Problem, err.Error())
		})
	}
}

func TestParseSpec_AcceptsOnlyCanonicalText(t *testing.T) {
	for _, text := range []string{
		"", "-", "gif", "PNG", "png-", "png--", "jpeg", ".png", "png-cover", "png-contain", "png-8x8", "png-08x8-cover", "png-8X8-cover",
		"png-8x8-cover-", "png-8x8-cover-fff", "png-8x8-cover-FFFFFF", "png-8x8-cover-#ffffff", "png-cover-8x8", "png-ffffff-8x8-cover",
		"png-8x8-cover-8x8-cover", "png-transparent-transparent", "png- transparent", "jpg-transparent", "ico-cover", "ico-16x32-cover",
		"png/../8x8", "png-8x8-cover\x00", "png-0x8-cover",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := render.ParseSpec(text)
			var spec *render.SpecError
			require.ErrorAs(t, err, &spec)
			assert.NotEmpty(t, spec.Hint)
		})
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, seed := range []string{
		"png", "jpg-ffffff", "webp-1200x630-cover", "png-512x512-contain-transparent", "ico", "ico-contain", "ico-64x64-cover", "png--8x8", "jpg-8x8-cover-transparent",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := render.ParseSpec(text)
		if err != nil {
			var spec *render.SpecError
			require.ErrorAs(t, err, &spec)
			return
		}
		assert.Equal(t, text, s.String())
		size, fit := "", string(s.Fit)
		if s.Width != 0 {
			size = fmt.Sprintf("%dx%d", s.Width, s.Height)
		}
		again, err := render.NewSpec(s.Format, size, fit, s.Background)
		require.NoError(t, err)
		assert.Equal(t, s, again)
	})
}

func TestSpec_Unchanged(t *testing.T) {
	for text, want := range map[string]bool{
		"png": true, "jpg": false, "png-8x8-cover": false, "png-transparent": false, "png-ffffff": false, "ico": false,
	} {
		s, err := render.ParseSpec(text)
		require.NoError(t, err)
		assert.Equal(t, want, s.Unchanged(render.PNG), text)
	}
	ico, err := render.ParseSpec("ico")
	require.NoError(t, err)
	assert.False(t, ico.Unchanged(render.ICO))
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		format             render.Format
		extension, spelled string
		mimeType           string
	}{
		{render.PNG, ".png", ".PNG", "image/png"},
		{render.JPEG, ".jpg", "JPEG", "image/jpeg"},
		{render.WebP, ".webp", ".WebP", "image/webp"},
		{render.ICO, ".ico", "ico", "image/x-icon"},
	} {
		assert.Equal(t, c.extension, c.format.Extension())
		assert.Equal(t, c.mimeType, c.format.MIMEType())
		for _, extension := range []string{c.extension, c.spelled} {
			f, ok := render.FormatOf(extension)
			assert.True(t, ok)
			assert.Equal(t, c.format, f)
		}
		f, ok := render.FormatOfType(c.mimeType)
		assert.True(t, ok)
		assert.Equal(t, c.format, f)
	}
	for _, name := range []string{"", ".", ".gif", ".svg", "..png"} {
		_, ok := render.FormatOf(name)
		assert.False(t, ok, name)
	}
	_, ok := render.FormatOfType("image/gif")
	assert.False(t, ok)
	f, ok := render.FormatOfType("image/vnd.microsoft.icon")
	assert.True(t, ok)
	assert.Equal(t, render.ICO, f)
	assert.Empty(t, render.Format("gif").MIMEType())
}
