package pixels

// scan decodes the data of the scan that starts at pos.
func (d *jpegDecoder) scan() error {
	bits := jpegBits{data: d.data, start: d.pos, pos: d.pos}
	for mcu := range d.rows * d.columns {
		if err := d.restartBefore(&bits, mcu); err != nil {
			return err
		}
		for i := range d.components {
			if err := d.components[i].decode(&bits, mcu%d.columns, mcu/d.columns, jpegBlockSide/d.scale); err != nil {
				return err
			}
		}
	}
	d.pos = bits.end()
	across, down := d.subsampling()
	for i := range d.components {
		p := &d.components[i].plane
		p.width, p.height = d.width/d.scale, d.height/d.scale
		if i > 0 {
			// An incomplete pixel at the edge is dropped, because it depends on padding.
			p.width = max(1, (d.width+across-1)/across/d.scale)
			p.height = max(1, (d.height+down-1)/down/d.scale)
		}
	}
	return nil
}

// restartBefore moves behind the restart marker before an MCU, if there must be one.
func (d *jpegDecoder) restartBefore(bits *jpegBits, mcu int) error {
	if d.restart == 0 || mcu == 0 || mcu%d.restart != 0 {
		return nil
	}
	if err := bits.restart(jpegRST0 + byte(mcu/d.restart-1)%8); err != nil {
		return err
	}
	for i := range d.components {
		d.components[i].last = 0
	}
	return nil
}

// decode decodes the blocks of a component in an MCU. x and y are its position in MCUs,
// and side is the side of a decoded block in pixels.
func (c *jpegComponent) decode(bits *jpegBits, x, y, side int) error {
	for i := range c.across * c.down {
		var coefs [jpegSlots]int32
		flat, err := bits.block(c, &coefs)
		if err != nil {
			return err
		}
		// The DC coefficient of 8-bit samples has 12 bits: with this limit no sum overflows.
		dc := c.last * c.steps.dc()
		if dc < -1<<13 || dc > 1<<13 {
			return ErrUnsupported
		}
		bx, by := x*c.across+i%c.across, y*c.down+i/c.across
		out := c.plane.pix[by*side*c.plane.stride+bx*side:]
		coefs[0] += jpegDC(dc)
		if flat {
			fillBlock(out, c.plane.stride, side, clamp(int64(coefs[0])>>(jpegStepBits+3)))
		} else {
			jpegPixels(&coefs, out, c.plane.stride, side)
		}
	}
	return nil
}
