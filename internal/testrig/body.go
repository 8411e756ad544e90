package testrig

import (
	"compress/gzip"
	"io"
	"net/http"
)

// ReadBody returns the body of a request, unpacked if it is zipped.
func ReadBody(r *http.Request) (body []byte, zipped bool, err error) {
	content := io.Reader(r.Body)
	if zipped = r.Header.Get("Content-Encoding") == "gzip"; zipped {
		if content, err = gzip.NewReader(r.Body); err != nil {
			return nil, zipped, err
		}
	}
	body, err = io.ReadAll(content)
	return body, zipped, err
}
