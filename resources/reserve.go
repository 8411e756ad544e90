package resources

import "context"

// Reserve calls Prepare and then reserves images in the catalog (Journal.Reserve). It
// gives ids to images without one.
func (l *Library) Reserve(ctx context.Context, r Reservation) (Outcome, error) {
	images := make([]Image, 0, len(r.Images))
	for _, i := range r.Images {
		if i.ID == "" {
			id, err := l.NewID()
			if err != nil {
				return Outcome{}, err
			}
			i.ID = id
		}
		images = append(images, i)
	}
	r.Images = images
	if err := l.Prepare(ctx, l.now()); err != nil {
		return Outcome{}, err
	}
	return l.catalog.Reserve(ctx, r)
}
