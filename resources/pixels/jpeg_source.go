package pixels

import "image"

const jpegMCUSide = 2 * jpegBlockSide // pixels

// jpegBlock has the samples or coefficients of 8x8 pixels, row by row.
type jpegBlock [jpegBlockCoefs]int32

// jpegMCU has the samples of 16x16 pixels with 4:2:0 subsampling.
type jpegMCU struct {
	luma   [4]jpegBlock
	cb, cr jpegBlock
}

// jpegSource reads the MCU at (x, y) from an image whose bounds begin at (0, 0). The last
// pixels in each direction are repeated to whole MCUs.
type jpegSource interface {
	read(x, y int, m *jpegMCU)
}

// newJPEGSource reports false for types and dimensions that are not supported.
func newJPEGSource(img image.Image) (jpegSource, bool) {
	const maxSide = 1<<16 - 1
	if size := img.Bounds().Size(); min(size.X, size.Y) < 1 || max(size.X, size.Y) > maxSide {
		return nil, false
	}
	switch img := img.(type) {
	case *image.RGBA:
		return &rgbaSource{pix: img.Pix, stride: img.Stride, width: img.Rect.Dx(), height: img.Rect.Dy()}, true
	case *image.YCbCr:
		return newYCbCrSource(img), true
	default:
		return nil, false
	}
}

// jpegOffsets returns the offset of each column or row from first to end, and repeats the last
// one up to whole MCUs.
func jpegOffsets(first, end int, offset func(int) int) []int {
	n := (end - first + jpegMCUSide - 1) / jpegMCUSide * jpegMCUSide
	offsets := make([]int, n)
	for i := range offsets {
		offsets[i] = offset(min(first+i, end-1))
	}
	return offsets
}

// rgbaSource reads an RGBA image. Like image/jpeg, it ignores alpha.
type rgbaSource struct {
	pix                   []byte
	stride, width, height int
	edges                 [2]rgbaRow // for an even and an odd row at the right edge
}

// rgbaRow is a row of a block.
type rgbaRow [4 * jpegBlockSide]byte

func (s *rgbaSource) read(x, y int, m *jpegMCU) {
	for i := range m.luma {
		left, top := i%2*jpegBlockSide, i/2*jpegBlockSide
		for j := 0; j < jpegBlockSide; j += 2 {
			upper, lower := s.row(x+left, y+top+j), s.row(x+left, y+top+j+1)
			luma := (*[2 * jpegBlockSide]int32)(m.luma[i][jpegBlockSide*j:])
			chroma := (top+j)/2*jpegBlockSide + left/2
			convertRows(upper, lower, luma, (*[4]int32)(m.cb[chroma:]), (*[4]int32)(m.cr[chroma:]))
		}
	}
}

// row returns 8 pixels, which are valid until the next call for an even or an odd row.
func (s *rgbaSource) row(x, y int) *rgbaRow {
	row := s.pix[s.stride*min(y, s.height-1):]
	if x+jpegBlockSide <= s.width {
		return (*rgbaRow)(row[4*x:])
	}
	edge := &s.edges[y%2]
	for i := range jpegBlockSide {
		copy(edge[4*i:4*i+4], row[4*min(x+i, s.width-1):])
	}
	return edge
}

// convertRows converts two rows of a block. cb and cr are means of squares of 2x2 pixels.
func convertRows(upper, lower *rgbaRow, luma *[2 * jpegBlockSide]int32, cb, cr *[4]int32) {
	for i := range 4 {
		y0, c0 := convertRGB((*[4]byte)(upper[8*i:]))
		y1, c1 := convertRGB((*[4]byte)(upper[8*i+4:]))
		y2, c2 := convertRGB((*[4]byte)(lower[8*i:]))
		y3, c3 := convertRGB((*[4]byte)(lower[8*i+4:]))
		luma[2*i], luma[2*i+1] = y0, y1
		luma[8+2*i], luma[9+2*i] = y2, y3
		const half = 2<<32 | 2
		sum := c0 + c1 + c2 + c3 + half
		cb[i], cr[i] = int32(sum>>2&0xff), int32(sum>>34)
	}
}

// convertRGB converts a pixel to Y, and to Cb and Cr in the lower and the upper 32 bits, by the
// formula of color.RGBToYCbCr. Cb and Cr are positive before they are rounded, so that neither
// changes the other. Only pure blue and pure red make one of them 256, which becomes 255.
func convertRGB(pix *[4]byte) (luma int32, chroma uint64) {
	const (
		half    = 1 << 15
		both    = 1<<32 + 1
		bias    = (257 << 15) * both
		lowBits = 0x1ff * both
	)
	r, g, b := int64(pix[0]), int64(pix[1]), int64(pix[2])
	luma = int32(19595*r+38470*g+7471*b+half) >> 16
	c := uint64((32768<<32-11056)*r-(27440<<32+21712)*g+(32768-5328<<32)*b+bias) >> 16 & lowBits
	return luma, c - c>>8&both
}

// ycbcrSource reads a YCbCr image of any subsampling.
type ycbcrSource struct {
	y, cb, cr     []byte
	columns, rows []int // offsets in y
	// chromaColumns and chromaRows are offsets in cb and cr for each column and row of pixels.
	chromaColumns, chromaRows []int
}

func newYCbCrSource(img *image.YCbCr) *ycbcrSource {
	r := img.Rect
	across, down := subsampling(img.SubsampleRatio)
	return &ycbcrSource{
		y: img.Y, cb: img.Cb, cr: img.Cr,
		columns: jpegOffsets(r.Min.X, r.Max.X, func(x int) int { return x - r.Min.X }),
		rows:    jpegOffsets(r.Min.Y, r.Max.Y, func(y int) int { return img.YStride * (y - r.Min.Y) }),
		// The quotients are truncated before they are subtracted, as in image.YCbCr.COffset.
		chromaColumns: jpegOffsets(r.Min.X, r.Max.X, func(x int) int { return x/across - r.Min.X/across }),
		chromaRows:    jpegOffsets(r.Min.Y, r.Max.Y, func(y int) int { return img.CStride * (y/down - r.Min.Y/down) }),
	}
}

func (s *ycbcrSource) read(x, y int, m *jpegMCU) {
	for i := range m.luma {
		columns := (*[jpegBlockSide]int)(s.columns[x+i%2*jpegBlockSide:])
		for j, row := range s.rows[y+i/2*jpegBlockSide:][:jpegBlockSide] {
			out := (*[jpegBlockSide]int32)(m.luma[i][jpegBlockSide*j:])
			if columns[7] == columns[0]+7 {
				for k, v := range (*[jpegBlockSide]byte)(s.y[row+columns[0]:]) {
					out[k] = int32(v)
				}
				continue
			}
			for k, column := range columns {
				out[k] = int32(s.y[row+column])
			}
		}
	}
	columns := (*[jpegMCUSide]int)(s.chromaColumns[x:])
	rows := (*[jpegMCUSide]int)(s.chromaRows[y:])
	averageChroma(s.cb, columns, rows, &m.cb)
	averageChroma(s.cr, columns, rows, &m.cr)
}

// averageChroma reads the mean of each square of 2x2 pixels.
func averageChroma(pix []byte, columns, rows *[jpegMCUSide]int, block *jpegBlock) {
	for j := range jpegBlockSide {
		upper, lower := pix[rows[2*j]:], pix[rows[2*j+1]:]
		for i := range jpegBlockSide {
			left, right := columns[2*i], columns[2*i+1]
			sum := int32(upper[left]) + int32(upper[right]) + int32(lower[left]) + int32(lower[right])
			block[8*j+i] = (sum + 2) / 4
		}
	}
}
