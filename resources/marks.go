package resources

import (
	"context"
	"fmt"
	"io"

	"zai-image-mcp/resources/label"
)

// Marks returns the names of the marks of its origin that a saved image's file has. It
// examines the file if that was not done when the image was saved.
func (l *Library) Marks(ctx context.Context, i Image) ([]string, error) {
	if i.Marks != nil || i.State != Saved {
		return i.Marks, nil
	}
	file, err := l.store.Open(ctx, i.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return l.marksOf(i, file).Names(), nil
}

// marksOf returns the marks of an image's file. It reads the file only if it may have
// some. Of a malformed file it returns those before the defect.
func (l *Library) marksOf(i Image, file io.Reader) label.Marks {
	if i.Marks != nil && len(i.Marks) == 0 {
		return label.Marks{}
	}
	m, _ := label.Find(file, i.MIMEType)
	return m
}

// markFinder finds the marks of a file that is being saved, and which the caller writes to
// it. Its Write never fails.
type markFinder struct {
	*io.PipeWriter
	found chan []string
}

// findMarks starts a markFinder. The caller must call names at the end.
func (l *Library) findMarks(ctx context.Context, mimeType string) *markFinder {
	r, w := io.Pipe()
	f := &markFinder{w, make(chan []string, 1)}
	go func() {
		var names []string
		defer func() {
			if value := recover(); value != nil { // never lose an image to a defect here
				l.log.ErrorContext(ctx, "recovered a panic", "where", "marks of an image", "panic", fmt.Sprint(value))
			}
			_, _ = io.Copy(io.Discard, r) // ends with the writer
			f.found <- names
		}()
		m, _ := label.Find(r, mimeType) // a malformed file is saved like any other
		names = m.Names()
	}()
	return f
}

// names ends the file and returns the names of its marks.
func (f *markFinder) names() []string {
	f.Close() //nolint:errcheck // the Close of a pipe never fails
	return <-f.found
}

// logMarks logs which marks the vendor's files have, once per process.
func (l *Library) logMarks(ctx context.Context, i Image) {
	if i.Sandbox {
		return
	}
	l.marksLogged.Do(func() {
		l.log.InfoContext(ctx, "looked for marks in the first image", "id", i.ID, "model", i.Model, "marks", i.Marks)
	})
}
