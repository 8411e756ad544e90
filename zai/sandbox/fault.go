package sandbox

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// fault is the fault that a prompt requests. The package comment lists all
// faults.
type fault struct {
	name  string
	delay time.Duration
}

var faultWord = regexp.MustCompile(`sandbox:([a-z_0-9]+)(?:=([0-9a-z.]+))?(?:([*@])(\d+))?`)

// faultFor returns the fault for the n-th request with a prompt.
func (s *Sandbox) faultFor(prompt string, nth int) fault {
	text := prompt
	if s.options.Fault != "" {
		text += " sandbox:" + s.options.Fault
	}
	var f fault
	for _, m := range faultWord.FindAllStringSubmatch(text, -1) {
		count, _ := strconv.Atoi(m[4])
		switch {
		case m[3] == "*" && nth > count, m[3] == "@" && nth != count:
		case m[1] == "delay":
			d, err := time.ParseDuration(m[2])
			if err == nil {
				f.delay = min(d, time.Hour)
			}
		case f.name == "":
			f.name = m[1]
		}
	}
	return f
}

// reject sends the response of a fault that refuses the request. The responses
// were recorded from the real service. It returns false for other faults.
func (f fault) reject(w http.ResponseWriter) bool {
	var status int
	var body string
	switch f.name {
	case "unauthorized":
		status, body = 401, `{"error":{"code":"401","message":"token expired or incorrect"}}`
	case "wrong_region":
		status, body = 200, `{"code":500,"msg":"404 NOT_FOUND","success":false}`
	case "no_balance":
		status, body = 429, `{"error":{"code":"1113","message":"Insufficient balance or no resource package. Please recharge."}}`
	case "rate_limited":
		status, body = 429, `{"error":{"code":"1302","message":"Rate limit reached for requests"}}`
	case "too_frequent":
		status, body = 429, `{"error":{"code":"1303","message":"Rate limit reached for requests"}}`
	case "quota":
		status, body = 429, `{"error":{"code":"1308","message":"Usage limit reached for 5 hour. Your limit will reset at 2026-01-16 06:12:24"},"request_id":"20260116020454a2f38f10ad56479c"}`
	case "content_blocked":
		status, body = 400, `{"contentFilter":[{"level":2,"role":"user"}],"error":{"code":"1301","message":"System detected potentially unsafe or sensitive content in input or generation. Please avoid using prompts that may generate sensitive content. Thank you for your cooperation."}}`
	case "content_blocked_output":
		status, body = 400, `{"contentFilter":[{"level":1,"role":"assistant"}],"error":{"code":"1301","message":"System detected potentially unsafe or sensitive content in input or generation."}}`
	case "invalid_argument":
		status, body = 400, `{"error":{"code":"1214","message":"The size parameter is invalid"}}`
	case "upstream":
		status, body = 500, `{"error":{"code":"1234","message":"Network error, error id: 20260101000000, please try again later"}}`
	default:
		return false
	}
	w.Header().Set("X-Log-Id", "sandbox")
	respond(w, status, body)
	return true
}

// loseImage sends the response of a fault that bills the request but returns no
// image. It returns false for other faults.
func (f fault) loseImage(w http.ResponseWriter) bool {
	switch f.name {
	case "outcome_unknown":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>")
	case "hangup":
		panic(http.ErrAbortHandler) // net/http closes the connection silently
	case "no_picture":
		respond(w, http.StatusOK, fmt.Sprintf(`{"created":%d,"data":[]}`, time.Now().Unix()))
	case "broken_json":
		respond(w, http.StatusOK, `{"created":1760335349,"data":[{"url":"https://`)
	default:
		return false
	}
	return true
}
