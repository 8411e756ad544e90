package transport

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Reject answers a request that is not handled further. The connection is
// closed if it may hold a body that was not read.
func Reject(w http.ResponseWriter, r *http.Request, status int, text string) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	extendWriteDeadline(w)
	http.Error(w, text, status)
}

// methodNotAllowed answers a request with a method that its path does not have.
func methodNotAllowed(w http.ResponseWriter, r *http.Request, allowed, text string) {
	w.Header().Set("Allow", allowed)
	Reject(w, r, http.StatusMethodNotAllowed, text)
}

// extendWriteDeadline gives a late answer time to be written.
func extendWriteDeadline(w http.ResponseWriter) {
	const timeout = 8 * time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout))
}

// writeStatus answers an HTTP request with a status alone.
func writeStatus(w http.ResponseWriter, status int) {
	extendWriteDeadline(w)
	w.WriteHeader(status)
}

// retrySoon is the pause before a client asks again for a session or a stream:
// those that exist may end at any moment.
const retrySoon = 5 * time.Second

// serviceUnavailable asks the client to come back later.
func serviceUnavailable(w http.ResponseWriter, r *http.Request, why error, after time.Duration) {
	w.Header().Set("Retry-After", fmt.Sprint(int(after.Seconds())))
	text := strings.ToUpper(why.Error()[:1]) + why.Error()[1:] + "; try again later."
	Reject(w, r, http.StatusServiceUnavailable, text)
}
