package pixels

// rotate rotates the point (x, y) by an angle, given its cosine and sine, which have fraction
// bits. It takes three multiplications: x*cos + y*sin and y*cos - x*sin share one.
func rotate(x, y, cos, sin int32) (int32, int32) {
	shared := (x + y) * cos
	return shared + y*(sin-cos), shared - x*(sin+cos)
}

// fdct replaces the 8-bit samples of a block by 8 times their DCT coefficients, row by row.
// It is the algorithm of Loeffler, Ligtenberg and Moschytz (ICASSP 1989), first on columns,
// then on rows. Widths and rounding of all values are those of the standard library, so that
// the coefficients are the same.
func fdct(b *jpegBlock) {
	fdctColumns(b)
	fdctRows(b)
}

// fdctColumns replaces samples by the coefficients of their columns, with 18 fraction bits.
func fdctColumns(b *jpegBlock) {
	const (
		fraction = 18
		cos1     = 257107 // cos(pi/16)
		sin1     = 51142  // sin(pi/16)
		cos3     = 217965 // cos(3*pi/16)
		sin3     = 145639 // sin(3*pi/16)
		cos6     = 141871 // sqrt(2)*cos(6*pi/16)
		sin6     = 342508 // sqrt(2)*sin(6*pi/16)

		rootBits = 12
		root2    = 5793 // sqrt(2), with 12 fraction bits
	)
	for i := range jpegBlockSide {
		s0, d0 := b[i]+b[56+i], b[i]-b[56+i]
		s1, d1 := b[8+i]+b[48+i], b[8+i]-b[48+i]
		s2, d2 := b[16+i]+b[40+i], b[16+i]-b[40+i]
		s3, d3 := b[24+i]+b[32+i], b[24+i]-b[32+i]

		b[i] = (s0 + s1 + s2 + s3 - 128*jpegBlockSide) << fraction // the level shift of 8 samples
		b[32+i] = (s0 + s3 - s1 - s2) << fraction
		b[16+i], b[48+i] = rotate(s1-s2, s0-s3, cos6, sin6)

		p3, p0 := rotate(d3, d0, cos3, sin3)
		p2, p1 := rotate(d2, d1, cos1, sin1)
		p3, p1, p0, p2 = p3+p1, p3-p1, p0+p2, p0-p2
		b[8+i], b[56+i] = p0+p3, p0-p3
		b[24+i], b[40+i] = p2>>rootBits*root2, p1>>rootBits*root2
	}
}

// fdctRows replaces coefficients of columns by those of the block, without fraction bits.
func fdctRows(b *jpegBlock) {
	const (
		fraction = 18
		half     = 1 << (fraction - 1)

		fewer = 14 // fraction bits of the factors, and what is cut from values before
		cos1  = 16069
		sin1  = 3196
		cos3  = 13623
		sin3  = 9102
		cos6  = 8867
		sin6  = 21407
		root2 = 23170
	)
	for i := 0; i < jpegBlockCoefs; i += jpegBlockSide {
		row := (*[jpegBlockSide]int32)(b[i:])
		s0, d0 := row[0]+row[7], row[0]-row[7]
		s1, d1 := row[1]+row[6], row[1]-row[6]
		s2, d2 := row[2]+row[5], row[2]-row[5]
		s3, d3 := row[3]+row[4], row[3]-row[4]

		row[0] = (s0 + s1 + s2 + s3 + half) >> fraction
		row[4] = (s0 + s3 - s1 - s2 + half) >> fraction
		even2, even6 := rotate((s1-s2)>>fewer, (s0-s3)>>fewer, cos6, sin6)
		row[2], row[6] = (even2+half)>>fraction, (even6+half)>>fraction

		p3, p0 := rotate(d3>>fewer, d0>>fewer, cos3, sin3)
		p2, p1 := rotate(d2>>fewer, d1>>fewer, cos1, sin1)
		p3, p1, p0, p2 = p3+p1, p3-p1, p0+p2, p0-p2
		row[1], row[7] = (p0+p3+half)>>fraction, (p0-p3+half)>>fraction
		row[3], row[5] = (p2>>fewer*root2+half)>>fraction, (p1>>fewer*root2+half)>>fraction
	}
}
