package resources

// The steps of making a preview.
var (
	Shrink            = shrink
	ShrinkPNG         = shrinkPNG
	ErrUnsupportedPNG = errUnsupportedPNG
)
