package terminal

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/draw"
)

const (
	// kittySide is the longest side in pixels of an image drawn with Kitty. The image is
	// scaled here, because kitty 0.26 distorts images to which it is told to give a
	// number of rows.
	kittySide = 320
	// kittyChunk is the maximum number of base64 characters of one sequence of Kitty.
	kittyChunk = 4096
)

// Draw writes the sequence that draws a JPEG, and a line break. None writes nothing.
func (p Protocol) Draw(w io.Writer, preview []byte) error {
	var sequence []byte
	switch p {
	case Kitty:
		small, err := smallPNG(preview)
		if err != nil {
			return err
		}
		sequence = kitty(small)
	case ITerm:
		sequence = iterm(preview)
	case None:
		return nil
	default:
		return fmt.Errorf("unknown protocol %q", string(p))
	}
	_, err := w.Write(append(sequence, '\n'))
	return err
}

// iterm returns the sequence that draws a file in a format that the terminal knows.
func iterm(file []byte) []byte {
	b := fmt.Appendf(nil, "\x1b]1337;File=inline=1;size=%d:", len(file))
	b = base64.StdEncoding.AppendEncode(b, file)
	return append(b, '\a')
}

// kitty returns the sequences that draw a PNG. The key q makes the terminal not answer:
// the answer would be input for the shell.
func kitty(file []byte) []byte {
	const first = "a=T,f=100,"
	rest := base64.StdEncoding.EncodeToString(file)
	var b []byte
	for keys := first; keys == first || rest != ""; keys = "" {
		chunk := rest[:min(len(rest), kittyChunk)]
		rest = rest[len(chunk):]
		more := 0
		if rest != "" {
			more = 1
		}
		b = fmt.Appendf(b, "\x1b_G%sq=2,m=%d;%s\x1b\\", keys, more, chunk)
	}
	return b
}

// smallPNG returns a JPEG as a PNG whose sides are at most kittySide.
func smallPNG(preview []byte) ([]byte, error) {
	src, err := jpeg.Decode(bytes.NewReader(preview))
	if err != nil {
		return nil, err
	}
	from := src.Bounds()
	width, height := from.Dx(), from.Dy()
	if long := max(width, height); long > kittySide {
		width, height = max(1, width*kittySide/long), max(1, height*kittySide/long)
	}
	dst := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.CatmullRom.Scale(dst, dst.Bounds(), src, from, draw.Src, nil)
	var b bytes.Buffer
	if err := png.Encode(&b, dst); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
