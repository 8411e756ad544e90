package render

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"image/png"

	"github.com/deepteams/webp"
)

// quality is that of JPEG and WebP files, from 1 to 100.
const quality = 90

// encode encodes an image in every format but ICO.
func encode(img *image.RGBA, f Format) ([]byte, error) {
	var b bytes.Buffer
	var err error
	switch f {
	case JPEG:
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: quality})
	case WebP:
		err = webp.Encode(&b, img, webpOptions())
	default:
		err = png.Encode(&b, img)
	}
	return b.Bytes(), err
}

// webpOptions returns the options for lossy WebP with compressed transparency. From method 3
// on, the bytes depend on whether the computer has one processor or several. Method 2 takes
// less than half the time; its files are of the size and quality of libwebp's defaults.
func webpOptions() *webp.EncoderOptions {
	options := webp.DefaultOptions()
	options.Quality = quality
	options.Method = 2
	return options
}

// icon is an image that is never encoded as opaque: Windows reads only RGBA PNGs in ICO
// files.
type icon struct{ *image.RGBA }

func (icon) Opaque() bool { return false }

// encodeICO encodes images of at most 256x256 pixels as an ICO file with PNGs.
func encodeICO(images []*image.RGBA) ([]byte, error) {
	const headerSize, entrySize = 6, 16
	head := binary.LittleEndian.AppendUint16(nil, 0)
	head = binary.LittleEndian.AppendUint16(head, 1) // icon
	head = binary.LittleEndian.AppendUint16(head, uint16(len(images)))
	var data bytes.Buffer
	for _, img := range images {
		start := data.Len()
		if err := png.Encode(&data, icon{img}); err != nil {
			return nil, err
		}
		size := img.Rect.Size()
		head = append(head, byte(size.X), byte(size.Y), 0, 0) // 0 stands for 256
		head = binary.LittleEndian.AppendUint16(head, 1)      // planes
		head = binary.LittleEndian.AppendUint16(head, 32)     // bits per pixel
		head = binary.LittleEndian.AppendUint32(head, uint32(data.Len()-start))
		head = binary.LittleEndian.AppendUint32(head, uint32(headerSize+entrySize*len(images)+start))
	}
	return append(head, data.Bytes()...), nil
}
