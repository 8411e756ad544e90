package label_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/deepteams/webp"
	"github.com/stretchr/testify/require"
	xwebp "golang.org/x/image/webp"
)

const (
	typePNG  = "image/png"
	typeJPEG = "image/jpeg"
	typeWebP = "image/webp"
	typeICO  = "image/x-icon"
)

type sample struct {
	name, mimeType string
	data           []byte
}

// samples returns files of every variant without marks.
func samples(tb testing.TB) []sample {
	rgb, rgba := picture(12, 10, false), picture(12, 10, true)
	paletted := image.NewPaletted(rgb.Rect, palette.WebSafe)
	draw.Draw(paletted, rgb.Rect, rgb, image.Point{}, draw.Src)
	gray := image.NewGray(rgb.Rect)
	draw.Draw(gray, rgb.Rect, rgb, image.Point{}, draw.Src)

	plain := encodeJPEG(tb, rgb)
	jfif := segment(0xe0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
	exif := segment(0xe1, "Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00")
	icc := segment(0xe2, "ICC_PROFILE\x00\x01\x01profile")
	return []sample{
		{"PNG RGB", typePNG, encodePNG(tb, rgb)},
		{"PNG RGBA", typePNG, encodePNG(tb, rgba)},
		{"PNG palette", typePNG, encodePNG(tb, paletted)},
		{"PNG with text and trailing bytes", typePNG, append(insert(encodePNG(tb, rgb), 33, chunk("tEXt", "Comment\x00hi")), "tail"...)},
		{"JPEG baseline", typeJPEG, plain},
		{"JPEG grey", typeJPEG, encodeJPEG(tb, gray)},
		{"JPEG with JFIF", typeJPEG, insert(plain, 2, jfif)},
		{"JPEG with Exif", typeJPEG, insert(plain, 2, exif)},
		{"JPEG with JFIF, Exif, ICC", typeJPEG, insert(plain, 2, jfif+exif+icc)},
		{"JPEG with fill bytes", typeJPEG, insert(plain, 2, "\xff\xff"+icc)},
		{"WebP lossy", typeWebP, encodeWebP(tb, rgb, false)},
		{"WebP lossy with alpha", typeWebP, encodeWebP(tb, rgba, false)},
		{"WebP lossless", typeWebP, decodeBase64(tb, losslessWebP)},
		{"WebP lossless with alpha", typeWebP, encodeWebP(tb, rgba, true)},
		{"ICO", typeICO, encodeICO(encodePNG(tb, picture(4, 4, true)), encodePNG(tb, picture(8, 8, true)), encodePNG(tb, picture(6, 6, true)))},
	}
}

// losslessWebP is a file of 12x10 pixels without alpha, which the encoder does not write.
const losslessWebP = "UklGRkwAAABXRUJQVlA4TEAAAAAvC0ACAE8AEIT/bhECgRQO0gKBxJ/zPJ5/gkmaajtGB3B6AELaVpNCCimkkEIKU5jCFOZ7ISL6n5/H5bAMTZEE"

func decodeBase64(tb testing.TB, text string) []byte {
	b, err := base64.StdEncoding.DecodeString(text)
	require.NoError(tb, err)
	return b
}

// picture returns an image whose pixels differ.
func picture(width, height int, transparent bool) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.NRGBA{byte(20 * x), byte(20 * y), byte(x * y), 255}
			if transparent {
				c.A = byte(255 - 20*x)
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

func encodePNG(tb testing.TB, img image.Image) []byte {
	var b bytes.Buffer
	require.NoError(tb, png.Encode(&b, img))
	return b.Bytes()
}

func encodeJPEG(tb testing.TB, img image.Image) []byte {
	var b bytes.Buffer
	require.NoError(tb, jpeg.Encode(&b, img, nil))
	return b.Bytes()
}

func encodeWebP(tb testing.TB, img image.Image, lossless bool) []byte {
	var b bytes.Buffer
	o := webp.DefaultOptions()
	o.Lossless = lossless
	require.NoError(tb, webp.Encode(&b, img, o))
	return b.Bytes()
}

func encodeICO(images ...[]byte) []byte {
	head, data := []byte{0, 0, 1, 0, byte(len(images)), 0}, []byte{}
	for _, png := range images {
		head = append(head, png[19], png[23], 0, 0, 1, 0, 32, 0)
		head = binary.LittleEndian.AppendUint32(head, uint32(len(png)))
		head = binary.LittleEndian.AppendUint32(head, uint32(6+16*len(images)+len(data)))
		data = append(data, png...)
	}
	return append(head, data...)
}

func insert(file []byte, at int, parts ...string) []byte {
	return []byte(string(file[:at]) + strings.Join(parts, "") + string(file[at:]))
}

// chunk returns a chunk of a PNG file.
func chunk(name, data string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(b, name+data...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(name+data))))
}

// segment returns a segment of a JPEG file.
func segment(marker byte, data string) string {
	size := len(data) + 2
	return string([]byte{0xff, marker, byte(size >> 8), byte(size)}) + data
}

// part is a chunk or a segment of a file, or what has no such structure.
type part struct {
	name string
	data []byte // without the frame
	raw  []byte
}

// parts splits a valid file.
func parts(mimeType string, file []byte) []part {
	var list []part
	add := func(name string, head, size, tail int) {
		list = append(list, part{name, file[head : head+size], file[:head+size+tail]})
		file = file[head+size+tail:]
	}
	switch mimeType {
	case typePNG:
		add("signature", 0, 8, 0)
		for name := ""; name != "IEND"; {
			name = string(file[4:8])
			add(name, 8, int(binary.BigEndian.Uint32(file)), 4)
		}
	case typeJPEG:
		add("SOI", 0, 2, 0)
		for file[1] != 0xda {
			for file[1] == 0xff {
				add("fill", 0, 1, 0)
			}
			add(fmt.Sprintf("%x", file[1]), 4, int(binary.BigEndian.Uint16(file[2:]))-2, 0)
		}
	case typeWebP:
		add("RIFF", 0, 12, 0)
		for len(file) > 0 {
			size := int(binary.LittleEndian.Uint32(file[4:]))
			add(string(file[:4]), 8, size, size%2)
		}
	}
	return append(list, part{"rest", file, file})
}

// withoutLabel takes the label out of a file that had no marks before.
func withoutLabel(mimeType string, file []byte, extended bool) []byte {
	var b []byte
	for _, p := range parts(mimeType, file) {
		data := string(p.data)
		switch {
		case p.name == "iTXt" && (strings.HasPrefix(data, "XML:com.adobe.xmp\x00") || strings.HasPrefix(data, "parameters\x00")),
			p.name == "tEXt" && strings.HasPrefix(data, "AIGC\x00"),
			p.name == "e1" && strings.HasPrefix(data, "http://ns.adobe.com/xap/1.0/\x00"),
			p.name == "XMP ",
			p.name == "VP8X" && !extended:
		default:
			b = append(b, p.raw...)
		}
	}
	if mimeType == typeWebP {
		binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
		if extended {
			b[20] &^= 4
		}
	}
	return b
}

// pixels returns the images of a file.
func pixels(mimeType string, file []byte) ([]image.Image, error) {
	decode := png.Decode
	switch mimeType {
	case typeJPEG:
		decode = jpeg.Decode
	case typeWebP:
		decode = xwebp.Decode // the other decoder returns varying pixels for damaged files
	case typeICO:
		var all []image.Image
		for _, png := range entries(file) {
			images, err := pixels(typePNG, png)
			if err != nil {
				return nil, err
			}
			all = append(all, images...)
		}
		return all, nil
	}
	img, err := decode(bytes.NewReader(file))
	return []image.Image{img}, err
}

// entries returns the images of an ICO file, or none if an entry is outside.
func entries(file []byte) [][]byte {
	var list [][]byte
	for i := range int(file[4]) {
		if len(file) < 6+16*(i+1) {
			return nil
		}
		entry := file[6+16*i:]
		size, at := uint64(binary.LittleEndian.Uint32(entry[8:])), uint64(binary.LittleEndian.Uint32(entry[12:]))
		if at+size > uint64(len(file)) {
			return nil
		}
		list = append(list, file[at:at+size])
	}
	return list
}
