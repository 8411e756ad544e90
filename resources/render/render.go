package render

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
)

// Result is a rendered image.
type Result struct {
	Data          []byte
	Width, Height int     // of the largest image in the file
	Enlarged      bool    // the image was scaled up
	Cleared       float64 // share of the pixels that became transparent, 0 to 1
}

// Render renders an image. It fails with a *SpecError if the image has no plain background
// that could become transparent.
func Render(src image.Image, s Spec) (Result, error) { return NewSource(src).Render(s) }

// Source is an image that several files are made of. It keeps what they have in common, and
// must not be used by several goroutines at once.
type Source struct {
	pixels  *pyramid
	lossy   bool     // decoded from a JPEG or a lossy WebP
	cleared *pyramid // nil before the background was removed
	share   float64  // of the pixels that became transparent
}

// NewSource returns a Source. The image must not change afterwards.
func NewSource(src image.Image) *Source {
	s := &Source{pixels: newPyramid(toRGBA(src))}
	switch src.(type) {
	case *image.YCbCr, *image.NYCbCrA, *image.CMYK:
		s.lossy = true
	}
	return s
}

// toRGBA returns an image whose pixels start at (0, 0).
func toRGBA(src image.Image) *image.RGBA {
	b := src.Bounds()
	if rgba, ok := src.(*image.RGBA); ok && b.Min == (image.Point{}) {
		return rgba
	}
	dst := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(dst, dst.Rect, src, b.Min, draw.Src)
	return dst
}

// Render is Render for an image that is used several times.
func (s *Source) Render(spec Spec) (Result, error) {
	if err := spec.check(); err != nil {
		return Result{}, err
	}
	size := s.pixels.size()
	if size.X < 1 || size.Y < 1 {
		return Result{}, &SpecError{"The image has no pixels.", "Use another image."}
	}
	if !spec.sized() && max(size.X, size.Y) > MaxSide {
		return Result{}, &SpecError{
			fmt.Sprintf("The image has %dx%d pixels, which are too many for an export.", size.X, size.Y),
			fmt.Sprintf("Give a size of at most %d pixels in each direction.", MaxSide),
		}
	}
	pixels, share := s.pixels, 0.0
	if spec.Background == Transparent {
		if err := s.clear(); err != nil {
			return Result{}, err
		}
		pixels, share = s.cleared, s.share
	}
	r, err := pixels.render(spec)
	r.Cleared = share
	return r, err
}

// clear removes the background once.
func (s *Source) clear() error {
	if s.cleared != nil {
		return nil
	}
	rgba, share, err := removeBackground(s.pixels.levels[0], s.lossy)
	if err != nil {
		return err
	}
	s.cleared, s.share = newPyramid(rgba), share
	return nil
}

func (p *pyramid) render(s Spec) (Result, error) {
	if s.Format != ICO {
		width, height := s.Width, s.Height
		if !s.sized() {
			width, height = p.size().X, p.size().Y
		}
		img, enlarged := p.draw(width, height, s)
		data, err := encode(img, s.Format)
		return Result{Data: data, Width: width, Height: height, Enlarged: enlarged}, err
	}
	sides := []int{16, 32, 48}
	if s.Width != 0 {
		sides = []int{s.Width}
	}
	var images []*image.RGBA
	var r Result
	for _, side := range sides {
		img, enlarged := p.draw(side, side, s)
		images = append(images, img)
		r.Width, r.Height, r.Enlarged = side, side, enlarged
	}
	var err error
	r.Data, err = encodeICO(images)
	return r, err
}

// draw returns the image in a size, cropped or padded, and whether that scales it up.
func (p *pyramid) draw(width, height int, s Spec) (img *image.RGBA, enlarged bool) {
	from, to := image.Rectangle{Max: p.size()}, image.Rect(0, 0, width, height)
	if s.Fit == Contain {
		to = within(to, from.Max)
	} else {
		from = p.crop(width, height)
	}
	color, opaque := s.padding()
	enlarged = to.Dx() > from.Dx() || to.Dy() > from.Dy()
	scaled := p.scale(from, to.Size())
	if to.Dx() == width && to.Dy() == height && (!opaque || p.opaque) {
		return scaled, enlarged
	}
	return pad(scaled, to, width, height, color), enlarged
}

// pad returns an image drawn over a color.
func pad(src *image.RGBA, to image.Rectangle, width, height int, c color.RGBA) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(dst, dst.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	draw.Draw(dst, to, src, image.Point{}, draw.Over)
	return dst
}

// within returns the largest rectangle with the proportions of size in the middle of a frame.
func within(frame image.Rectangle, size image.Point) image.Rectangle {
	w, h := frame.Dx(), frame.Dy()
	if size.X*h > size.Y*w {
		h = max(1, (w*size.Y+size.X/2)/size.X)
	} else {
		w = max(1, (h*size.X+size.Y/2)/size.Y)
	}
	at := image.Pt((frame.Dx()-w)/2, (frame.Dy()-h)/2)
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(w, h))}
}
