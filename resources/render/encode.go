package render

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/png"

	"github.com/deepteams/webp"

	"zai-image-mcp/resources/pixels"
)

// quality is that of JPEG and WebP files, from 1 to 100.
const quality = 90

// encode encodes an image in every format but ICO.
func encode(img image.Image, f Format) ([]byte, error) {
	var b bytes.Buffer
	var err error
	switch f {
	case JPEG:
		err = pixels.EncodeJPEG(&b, img, quality)
	case WebP:
		err = webp.Encode(&b, img, webpOptions())
	default:
		// The default level takes 2.6 times as long for files that are about 13 % smaller.
		encoder := png.Encoder{CompressionLevel: png.BestSpeed}
		err = encoder.Encode(&b, img)
	}
	return b.Bytes(), err
}

// withAlpha is an image that is encoded with an alpha channel even if it is opaque.
type withAlpha struct{ *image.RGBA }

func (withAlpha) Opaque() bool { return false }

// webpOptions returns the options for lossy WebP with compressed transparency. From method 3
// on, the bytes depend on whether the computer has one processor or several. Methods 0 to 2
// write the same bytes; of these, 1 takes the least time, less than half of method 4. Its
// files are of the size and quality of libwebp's defaults.
func webpOptions() *webp.EncoderOptions {
	options := webp.DefaultOptions()
	options.Quality = quality
	options.Method = 1
	return options
}

// encodeICO encodes images of at most 256x256 pixels as an ICO file with PNGs. They are RGBA,
// because Windows reads no others.
func encodeICO(images []*image.RGBA) ([]byte, error) {
	const headerSize, entrySize = 6, 16
	head := binary.LittleEndian.AppendUint16(nil, 0)
	head = binary.LittleEndian.AppendUint16(head, 1) // icon
	head = binary.LittleEndian.AppendUint16(head, uint16(len(images)))
	var data []byte
	for _, img := range images {
		entry, err := encode(withAlpha{img}, PNG)
		if err != nil {
			return nil, err
		}
		size := img.Rect.Size()
		head = append(head, byte(size.X), byte(size.Y), 0, 0) // 0 stands for 256
		head = binary.LittleEndian.AppendUint16(head, 1)      // planes
		head = binary.LittleEndian.AppendUint16(head, 32)     // bits per pixel
		head = binary.LittleEndian.AppendUint32(head, uint32(len(entry)))
		head = binary.LittleEndian.AppendUint32(head, uint32(headerSize+entrySize*len(images)+len(data)))
		data = append(data, entry...)
	}
	return append(head, data...), nil
}
