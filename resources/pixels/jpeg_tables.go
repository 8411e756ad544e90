package pixels

import "bytes"

// jpegQuantTables returns the quantization steps of luma and chroma in zigzag order for a quality
// of at least 1 (section K.1, scaled by the rule of libjpeg). All steps are 1 from 100 on.
func jpegQuantTables(quality int) [2][jpegBlockCoefs]byte {
	tables := [2][jpegBlockCoefs]byte{{
		16, 11, 10, 16, 24, 40, 51, 61,
		12, 12, 14, 19, 26, 58, 60, 55,
		14, 13, 16, 24, 40, 57, 69, 56,
		14, 17, 22, 29, 51, 87, 80, 62,
		18, 22, 37, 56, 68, 109, 103, 77,
		24, 35, 55, 64, 81, 104, 113, 92,
		49, 64, 78, 87, 103, 121, 120, 101,
		72, 92, 95, 98, 112, 100, 103, 99,
	}, {
		17, 18, 24, 47, 99, 99, 99, 99,
		18, 21, 26, 66, 99, 99, 99, 99,
		24, 26, 56, 99, 99, 99, 99, 99,
		47, 66, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
	}}
	percent := 200 - 2*quality
	if quality < 50 {
		percent = 5000 / quality
	}
	var scaled [2][jpegBlockCoefs]byte
	for i, at := range zigzag() {
		for t := range tables {
			scaled[t][i] = byte(min(max((int(tables[t][at])*percent+50)/100, 1), 255))
		}
	}
	return scaled
}

// jpegStandardTables returns the Huffman tables of section K.3: DC and AC of luma, then DC and
// AC of chroma.
func jpegStandardTables() [4]jpegTable {
	const sizes = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"
	return [4]jpegTable{{
		counts:  []byte{0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0},
		symbols: []byte(sizes),
	}, {
		counts: []byte{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125},
		symbols: withRareSymbols([]byte{
			0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13,
			0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42,
			0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82,
		}),
	}, {
		counts:  []byte{0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0},
		symbols: []byte(sizes),
	}, {
		counts: []byte{0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119},
		symbols: withRareSymbols([]byte{
			0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51,
			0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1,
			0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24,
			0x34, 0xe1, 0x25, 0xf1,
		}),
	}}
}

// withRareSymbols appends the symbols of AC coefficients that are missing, whose codes have
// 16 bits.
func withRareSymbols(symbols []byte) []byte {
	for run := range 16 {
		for size := 1; size <= jpegMaxAC; size++ {
			if symbol := byte(run<<4 | size); !bytes.Contains(symbols, []byte{symbol}) {
				symbols = append(symbols, symbol)
			}
		}
	}
	return symbols
}
