package web

import "net/http"

// healthz reports that the process runs.
func healthz(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") }

// readyz reports to load balancers whether calls can be served.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if s.mcp.Stopped() {
		writeText(w, http.StatusServiceUnavailable, "the server is ending\n")
		return
	}
	if err := s.App.Ready(r.Context()); err != nil {
		s.Log.ErrorContext(r.Context(), "failed to reach the image library", "error", err)
		writeText(w, http.StatusServiceUnavailable, "the image library cannot be used\n")
		return
	}
	writeText(w, http.StatusOK, "ready\n")
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that is gone needs no answer
}
