package tools_test

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExport_Sets(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	drawing := r.saveDrawing(t, 512, white, "a square")
	for arguments, want := range map[string]map[string]int{ // width by name
		`"set":"favicon","save_as":"public/"`: {"public/favicon.ico": 48, "public/favicon-32x32.png": 32, "public/apple-touch-icon.png": 180, "public/icon-192.png": 192, "public/icon-512.png": 512},
		`"set":"Favicon","save_as":"assets/logo.png","background":"transparent"`: {
			"assets/logo.ico": 48, "assets/logo-32x32.png": 32, "assets/logo-apple-touch-icon.png": 180, "assets/logo-192.png": 192, "assets/logo-512.png": 512,
		},
		`"set":"app-icon","save_as":"app"`: {
			"app/AppIcon-1024.png": 1024, "app/mipmap-mdpi/ic_launcher.png": 48, "app/mipmap-hdpi/ic_launcher.png": 72, "app/mipmap-xhdpi/ic_launcher.png": 96,
			"app/mipmap-xxhdpi/ic_launcher.png": 144, "app/mipmap-xxxhdpi/ic_launcher.png": 192, "app/ic_launcher-playstore.png": 512,
		},
		`"set":"social","save_as":"."`: {"social-1200x630.png": 1200, "social-1080x1080.png": 1080, "social-1500x500.png": 1500},
	} {
		result, s := r.call(t, "export_image", fmt.Sprintf(`{"id":%q,%s}`, drawing.ID, arguments))
		require.False(t, result.IsError, text(t, result))
		require.Len(t, s.Images, len(want), arguments)
		for n, i := range s.Images {
			width, ok := want[i.SavedAs]
			require.True(t, ok, i.SavedAs)
			assert.Equal(t, width, i.Width, i.SavedAs)
			b := r.read(t, i.SavedAs)
			assert.Equal(t, hash(b), i.SHA256)
			if path.Ext(i.SavedAs) == ".ico" {
				assert.Equal(t, []int{16, 32, 48}, iconSides(t, b))
			} else {
				assertImage(t, b, "png", i.Width, i.Height)
			}
			assert.Contains(t, text(t, result), fmt.Sprintf("%d. saved as %s (", n+1, i.SavedAs))
		}
		previews, links := contents(result)
		assert.Len(t, previews, 1, "of the first file")
		assert.Len(t, links, len(want))
		assert.Less(t, resultSize(t, result), 996_147)
		if strings.Contains(arguments, "public/") {
			assert.Contains(t, notesOf(s), `<link rel="icon" href="/favicon.ico"`)
			assert.Contains(t, text(t, result), `<link rel="apple-touch-icon" href="/apple-touch-icon.png">`)
		}
		assert.Equal(t, strings.Contains(arguments, "app"), strings.Contains(notesOf(s), "AppIcon-1024.png was scaled up"))
	}
}

// iconSides returns the widths of the images of an ICO file.
func iconSides(t *testing.T, b []byte) (sides []int) {
	t.Helper()
	require.Equal(t, []byte{0, 0, 1, 0}, b[:4])
	for n := range int(binary.LittleEndian.Uint16(b[4:])) {
		sides = append(sides, int(b[6+16*n]))
	}
	return sides
}
