package resources

import (
	"image"
	"io"

	"golang.org/x/image/webp"
)

// decodeWebP decodes a WebP file. Lossy files have the colors of video (ITU-R BT.601), whose
// luma is 16 to 235, but package webp returns them as if they were those of JPEG, whose luma
// is 0 to 255. Without the conversion, black is gray and colors are pale.
func decodeWebP(file io.Reader) (image.Image, error) {
	img, err := webp.Decode(file)
	switch img := img.(type) {
	case *image.YCbCr:
		widenRange(img)
	case *image.NYCbCrA:
		widenRange(&img.YCbCr)
	}
	return img, err
}

// widenRange converts the colors of video to those of JPEG.
func widenRange(img *image.YCbCr) {
	var luma, chroma [256]byte
	for v := range 256 {
		luma[v] = byte(min(max(((v-16)*255+219/2)/219, 0), 255))
		chroma[v] = byte(min(max(128*224+(v-128)*255+224/2, 0)/224, 255))
	}
	for i, v := range img.Y {
		img.Y[i] = luma[v]
	}
	for _, plane := range [][]byte{img.Cb, img.Cr} {
		for i, v := range plane {
			plane[i] = chroma[v]
		}
	}
}
