package pixels

import (
	"encoding/binary"
	"image"
	"image/color"
	"image/draw"
)

// Shrink scales an image down to a side of at most limit pixels. It uses a box
// filter for the integer part of the factor, which takes a fortieth of the time of a
// high-quality kernel and looks no worse at 2:1, and bilinear interpolation for the
// rest.
// JPEGs are scaled as YCbCr planes: converting them to RGB and back would cost
// more than decoding them.
func Shrink(src image.Image, limit int) image.Image {
	b := src.Bounds()
	width, height := Fit(b.Dx(), b.Dy(), limit)
	same := width == b.Dx() && height == b.Dy()
	if ycc, ok := src.(*image.YCbCr); ok && same {
		return ycc
	} else if ok {
		return shrinkYCbCr(ycc, width, height)
	}
	if same {
		return opaque(src)
	}
	rgba := opaque(src)
	p := plane{pix: rgba.Pix, stride: rgba.Stride, width: b.Dx(), height: b.Dy(), channels: 4}
	p = p.resize(width, height)
	return &image.RGBA{Pix: p.pix, Stride: p.stride, Rect: image.Rect(0, 0, width, height)}
}

// Fit returns the dimensions of an image scaled down to a side of at most limit
// pixels, with the same proportions.
func Fit(width, height, limit int) (int, int) {
	long := max(width, height)
	if long <= limit {
		return width, height
	}
	return max(1, (width*limit+long/2)/long), max(1, (height*limit+long/2)/long)
}

// opaque returns an image drawn over white, because JPEG has no transparency.
func opaque(src image.Image) *image.RGBA {
	b := src.Bounds()
	if rgba, ok := src.(*image.RGBA); ok && b.Min == (image.Point{}) && rgba.Opaque() {
		return rgba
	}
	dst := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	if opaque, ok := src.(interface{ Opaque() bool }); !ok || !opaque.Opaque() {
		draw.Draw(dst, dst.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	}
	draw.Draw(dst, dst.Bounds(), src, b.Min, draw.Over)
	return dst
}

func shrinkYCbCr(src *image.YCbCr, width, height int) image.Image {
	b := src.Bounds()
	dst := image.NewYCbCr(image.Rect(0, 0, width, height), src.SubsampleRatio)
	luma := plane{pix: src.Y[src.YOffset(b.Min.X, b.Min.Y):], stride: src.YStride, width: b.Dx(), height: b.Dy(), channels: 1}
	dst.Y = luma.resize(width, height).pix
	across, down := subsampling(src.SubsampleRatio)
	cw, ch := (b.Dx()+across-1)/across, (b.Dy()+down-1)/down
	dw, dh := (width+across-1)/across, (height+down-1)/down
	offset := src.COffset(b.Min.X, b.Min.Y)
	cb := plane{pix: src.Cb[offset:], stride: src.CStride, width: cw, height: ch, channels: 1}
	cr := plane{pix: src.Cr[offset:], stride: src.CStride, width: cw, height: ch, channels: 1}
	dst.Cb, dst.Cr = cb.resize(dw, dh).pix, cr.resize(dw, dh).pix
	return dst
}

// subsampling returns how many pixels share one color value in each direction.
func subsampling(ratio image.YCbCrSubsampleRatio) (across, down int) {
	switch ratio {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	default:
		return 1, 1
	}
}

// plane is a rectangle of interleaved bytes.
type plane struct {
	pix                             []byte
	stride, width, height, channels int
}

func newPlane(width, height, channels int) plane {
	return plane{pix: make([]byte, width*height*channels), stride: width * channels, width: width, height: height, channels: channels}
}

// resize returns a scaled plane without padding.
func (p plane) resize(width, height int) plane {
	if k := min(p.width/max(width, 1), p.height/max(height, 1)); k >= 2 {
		p = p.box(k)
	}
	return p.bilinear(width, height)
}

// box averages squares of k by k pixels. It drops incomplete squares at the right
// and lower edges, which are narrower than a pixel of the result.
func (p plane) box(k int) plane {
	dst := newPlane(p.width/k, p.height/k, p.channels)
	if k == 2 {
		p.halve(dst)
		return dst
	}
	sums := make([]uint32, dst.stride)
	area := uint32(k * k)
	for y := range dst.height {
		clear(sums)
		for dy := range k {
			row := p.pix[(y*k+dy)*p.stride:]
			for x := range dst.width {
				for c := range p.channels {
					sum := uint32(0)
					for dx := range k {
						sum += uint32(row[(x*k+dx)*p.channels+c])
					}
					sums[x*p.channels+c] += sum
				}
			}
		}
		for i, sum := range sums {
			dst.pix[y*dst.stride+i] = byte((sum + area/2) / area)
		}
	}
	return dst
}

// halve is box(2), the most frequent case. The general code takes several times
// as long.
func (p plane) halve(dst plane) {
	for y := range dst.height {
		upper := p.pix[2*y*p.stride:][:2*dst.stride]
		lower := p.pix[(2*y+1)*p.stride:][:2*dst.stride]
		out := dst.pix[y*dst.stride:][:dst.stride]
		if p.channels == 1 {
			for i := range out {
				j := 2 * i
				out[i] = byte((uint(upper[j]) + uint(upper[j+1]) + uint(lower[j]) + uint(lower[j+1]) + 2) / 4)
			}
			continue
		}
		halve(out, upper, lower)
	}
}

// halve averages squares of 2 by 2 opaque pixels in two RGBA rows.
func halve(out, upper, lower []byte) {
	const one = 0x0001000100010001 // two for both pixels together, to round
	for len(out) >= 4 && len(upper) >= 8 && len(lower) >= 8 {
		u, l := binary.LittleEndian.Uint64(upper), binary.LittleEndian.Uint64(lower)
		// Red and blue, green and alpha: two pixels of 2 channels, with 16 bits for each.
		rb := u&evenBytes + l&evenBytes + one
		ga := u>>8&evenBytes + l>>8&evenBytes + one
		rb = (rb + rb>>32) >> 2 & evenBytes
		ga = (ga + ga>>32) >> 2 & evenBytes
		binary.LittleEndian.PutUint32(out, uint32(rb|ga<<8)|0xff<<24)
		out, upper, lower = out[4:], upper[8:], lower[8:]
	}
}

// bilinear interpolates at the centers of the new pixels. The weights have 8
// bits, so their products have 16.
func (p plane) bilinear(width, height int) plane {
	if width == p.width && height == p.height && p.stride == width*p.channels {
		return p
	}
	dst := newPlane(width, height, p.channels)
	columns := samples(p.width, width)
	rows := samples(p.height, height)
	for y, v := range rows {
		upper, lower := p.pix[v.low*p.stride:], p.pix[v.high*p.stride:]
		out := dst.pix[y*dst.stride:][:dst.stride]
		if p.channels == 4 {
			blendRGBA(out, upper, lower, columns, uint64(v.share))
			continue
		}
		for x, h := range columns {
			for c := range p.channels {
				l, r := h.low*p.channels+c, h.high*p.channels+c
				top := int(upper[l])*(256-h.share) + int(upper[r])*h.share
				bottom := int(lower[l])*(256-h.share) + int(lower[r])*h.share
				out[x*p.channels+c] = byte((top*(256-v.share) + bottom*v.share + 1<<15) >> 16)
			}
		}
	}
	return dst
}

// blendRGBA is the loop of bilinear for all four channels of a pixel at once.
func blendRGBA(out, upper, lower []byte, columns []sample, share uint64) {
	const half, low = 1<<15 | 1<<47, 0xffff | 0xffff<<32
	for x, h := range columns {
		right := uint64(h.share)
		// These products have 16 bits for each channel, and those with share 32.
		top := spread(get32(upper, 4*h.low))*(256-right) + spread(get32(upper, 4*h.high))*right
		bottom := spread(get32(lower, 4*h.low))*(256-right) + spread(get32(lower, 4*h.high))*right
		even := (top&low*(256-share) + bottom&low*share + half) >> 16 & low
		odd := (top>>16&low*(256-share) + bottom>>16&low*share + half) & (low << 16)
		put32(out, 4*x, pack(even|odd))
	}
}

// sample is the position of a new pixel between two old ones. share is the weight
// of the higher one, in 1/256.
type sample struct{ low, high, share int }

func samples(from, to int) []sample {
	list := make([]sample, to)
	for i := range list {
		at := min(max(((2*i+1)*from*128)/to-128, 0), (from-1)*256)
		list[i] = sample{low: at >> 8, high: min(at>>8+1, from-1), share: at & 255}
	}
	return list
}
