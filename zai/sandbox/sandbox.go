package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// BasePath is the path of the API, the same as that of the real service.
const BasePath = "/api/paas/v4"

// Options configure a sandbox. With the zero value it behaves like the real
// service, except that images take no time.
type Options struct {
	// Key is the key that callers must send. If empty, any key is accepted.
	Key string
	// Delay returns how long an image takes, by model and quality. If it is nil,
	// images take no time. See Realistic.
	Delay func(model, quality string) time.Duration
	// JPEG serves images as JPEG files whose names end in .png, as the service
	// sometimes does.
	JPEG bool
	// Fault applies to every request. It has the form of faults in prompts without
	// "sandbox:", for example "no_balance" or "rate_limited*2".
	Fault string
	// Seed varies the images. Sandboxes with equal seeds draw equal first images
	// of a prompt, equal second images, and so on.
	Seed uint64
	// MaxConcurrent is the number of requests of a model that may be in flight;
	// more are refused with code 1302. 0 stands for the limits of the real
	// service, which differ by model, and Unlimited for no limit.
	MaxConcurrent int
	Log           *slog.Logger // nil: no log
}

// Realistic returns a function for Options.Delay with the durations of the real
// service, divided by divisor.
func Realistic(divisor int) func(model, quality string) time.Duration {
	return func(model, quality string) time.Duration {
		typical := 8 * time.Second
		switch {
		case strings.HasPrefix(model, "glm"):
			typical = 45 * time.Second
		case quality == "hd":
			typical = 20 * time.Second
		}
		return typical / time.Duration(max(divisor, 1))
	}
}

// Sandbox is the handler that serves the API. It is safe for concurrent use.
type Sandbox struct {
	options  Options
	mux      *http.ServeMux
	posts    atomic.Int64
	accepted atomic.Int64
	refused  atomic.Int64
	load     load
	closed   chan struct{} // ends delays
	close    func()

	mu       sync.Mutex
	requests map[string]int         // number of requests by prompt, for faults of certain requests
	images   map[string]*generation // by id
	order    []string               // ids of the images, oldest first
	tasks    map[string]string      // id of the image by id of the task
}

// maxImages is the number of images whose links work. The oldest are removed
// first.
const maxImages = 10_000

// New returns a sandbox.
func New(options Options) *Sandbox {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sandbox{
		options: options, mux: http.NewServeMux(),
		requests: map[string]int{}, images: map[string]*generation{}, tasks: map[string]string{},
		load:   load{flights: map[string]map[*flight]struct{}{}, most: map[string]int{}},
		closed: make(chan struct{}),
	}
	s.close = sync.OnceFunc(func() { close(s.closed) })
	s.mux.HandleFunc("POST "+BasePath+"/images/generations", s.generate)
	s.mux.HandleFunc("POST "+BasePath+"/async/images/generations", s.generateAsync)
	s.mux.HandleFunc("GET "+BasePath+"/async-result/{id}", s.asyncResult)
	s.mux.HandleFunc("GET /files/{name}", s.file)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, http.StatusOK, `{"code":500,"msg":"404 NOT_FOUND","success":false}`)
	})
	return s
}

// ServeHTTP implements http.Handler.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Posts returns the number of requests for images, including refused ones.
func (s *Sandbox) Posts() int64 { return s.posts.Load() }

// Accepted returns the number of accepted requests. The service would have
// billed them.
func (s *Sandbox) Accepted() int64 { return s.accepted.Load() }

// Close ends all delays: requests in flight are answered at once, tasks are
// finished, and later requests do not wait. It is idempotent.
func (s *Sandbox) Close() { s.close() }

func (s *Sandbox) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// request is the body of both endpoints.
type request struct {
	Model, Prompt, Quality, Size, UserID string
}

func (r *request) UnmarshalJSON(b []byte) error {
	var raw struct {
		Model   string `json:"model"`
		Prompt  string `json:"prompt"`
		Quality string `json:"quality"`
		Size    string `json:"size"`
		UserID  string `json:"user_id"`
		// It has no effect: the sandbox draws no watermark. Another type is refused.
		Watermark *bool `json:"watermark_enabled"`
	}
	err := json.Unmarshal(b, &raw)
	*r = request{raw.Model, raw.Prompt, raw.Quality, raw.Size, raw.UserID}
	return err
}

// generate handles POST images/generations.
func (s *Sandbox) generate(w http.ResponseWriter, r *http.Request) {
	g := s.accept(w, r, false)
	if g == nil {
		return
	}
	if g.fault.name == "b64" {
		respond(w, http.StatusOK, fmt.Sprintf(`{"created":%d,"data":[{"b64_json":%q}]}`, g.created.Unix(), g.base64()))
		return
	}
	respond(w, http.StatusOK, fmt.Sprintf(
		`{"created":%d,"data":[{"url":%q}],"id":%q,"request_id":%q,"usage":{"tokens":0,"price":0,"cost":0.0,"duration":%d},"timestamp":%d,"model":%q%s}`,
		g.created.Unix(), g.link(r), g.id, g.id, int(g.delay.Seconds()), g.created.UnixMilli(), g.model, g.contentFilter()))
}

// generateAsync handles POST async/images/generations, which exists for
// glm-image only.
func (s *Sandbox) generateAsync(w http.ResponseWriter, r *http.Request) {
	g := s.accept(w, r, true)
	if g == nil {
		return
	}
	task := fmt.Sprint(binary.BigEndian.Uint64(g.sum[:8]) >> 1)
	s.mu.Lock()
	s.tasks[task] = g.id
	s.mu.Unlock()
	respond(w, http.StatusOK, fmt.Sprintf(`{"model":%q,"id":%q,"request_id":%q,"task_status":"PROCESSING"}`, g.model, task, g.id))
}

// asyncResult handles GET async-result/{id}.
func (s *Sandbox) asyncResult(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(w, r) {
		return
	}
	s.mu.Lock()
	g := s.images[s.tasks[r.PathValue("id")]]
	s.mu.Unlock()
	switch {
	case g == nil || g.fault.name == "task_gone":
		respond(w, http.StatusBadRequest, `{"error":{"code":"1214","message":"task does not exist"}}`)
	case time.Since(g.created) < g.delay && !s.isClosed():
		respond(w, http.StatusOK, fmt.Sprintf(`{"model":%q,"task_status":"PROCESSING","request_id":%q}`, g.model, g.id))
	case g.fault.name == "task_failed":
		respond(w, http.StatusOK, fmt.Sprintf(`{"model":%q,"task_status":"FAIL","error":{"code":"1301","message":"System detected potentially unsafe or sensitive content in input or generation."},"request_id":%q}`, g.model, g.id))
	default:
		respond(w, http.StatusOK, fmt.Sprintf(`{"model":%q,"task_status":"SUCCESS","image_result":[{"url":%q}],"request_id":%q}`, g.model, g.link(r), g.id))
	}
}

// accept checks a request, applies its fault and makes its image. It returns
// nil if it has sent the response.
func (s *Sandbox) accept(w http.ResponseWriter, r *http.Request, async bool) *generation {
	s.posts.Add(1)
	req := s.read(w, r, async)
	if req == nil {
		return nil
	}
	inFlight := s.load.enter(req.Model, s.limit(req.Model), time.Now())
	if inFlight == nil {
		s.refused.Add(1)
		fault{name: "rate_limited"}.reject(w)
		return nil
	}
	// The request is removed before net/http sends the response, so that a caller
	// who has the response can send the next request.
	var end time.Time
	defer func() { s.load.leave(inFlight, end) }()
	g := s.serve(w, *req, async)
	if g != nil && async {
		end = g.created.Add(g.delay)
	}
	return g
}

// read returns the request. It returns nil if it has refused the request.
func (s *Sandbox) read(w http.ResponseWriter, r *http.Request, async bool) *request {
	if !s.authorized(w, r) {
		return nil
	}
	var req request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&req); err != nil {
		respond(w, http.StatusBadRequest, `{"error":{"code":"1210","message":"Invalid API parameter, please check the documentation."}}`)
		return nil
	}
	if code, message := req.check(async); code != "" {
		respond(w, http.StatusBadRequest, fmt.Sprintf(`{"error":{"code":%q,"message":%q}}`, code, message))
		return nil
	}
	return &req
}

// serve makes the image of a valid request. It returns nil if it has sent the
// response of a fault.
func (s *Sandbox) serve(w http.ResponseWriter, req request, async bool) *generation {
	s.mu.Lock()
	s.requests[req.Prompt]++
	nth := s.requests[req.Prompt]
	s.mu.Unlock()
	f := s.faultFor(req.Prompt, nth)
	if async && f.name == "no_async" {
		respond(w, http.StatusBadRequest, `{"error":{"code":"1222","message":"The API does not exist"}}`)
		return nil
	}
	if f.reject(w) {
		return nil
	}
	s.accepted.Add(1)
	delay := f.delay
	if delay == 0 && s.options.Delay != nil {
		delay = s.options.Delay(req.Model, req.Quality)
	}
	if !async {
		s.wait(delay)
	}
	if f.loseImage(w) {
		return nil
	}
	g := s.keep(req, f, nth, delay)
	s.options.Log.Info("made an image", "model", req.Model, "size", req.Size, "id", g.id)
	return g
}

// wait returns after d, or when the sandbox is closed. It does not return when
// the request is cancelled, because the service also continues, and bills.
func (s *Sandbox) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closed:
	}
}

// keep stores what is needed to draw the image when its link is requested, and
// removes the oldest image if there are more than maxImages.
func (s *Sandbox) keep(req request, f fault, nth int, delay time.Duration) *generation {
	g := &generation{request: req, fault: f, created: time.Now(), delay: delay, jpeg: s.options.JPEG || f.name == "jpeg", model: req.Model}
	hash := fnv.New64a()
	fmt.Fprint(hash, req.Prompt, req.Size, nth)
	g.seed = hash.Sum64() ^ s.options.Seed
	g.sum = sha256.Sum256(fmt.Appendf(nil, "%d %d %d", g.seed, g.created.UnixNano(), nth))
	g.id = fmt.Sprintf("%s%x", g.created.UTC().Format("20060102150405"), g.sum[:8])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[g.id] = g
	if s.order = append(s.order, g.id); len(s.order) > maxImages {
		delete(s.images, s.order[0])
		s.order = s.order[1:]
	}
	return g
}

func (s *Sandbox) authorized(w http.ResponseWriter, r *http.Request) bool {
	header := r.Header.Get("Authorization")
	key, isBearer := strings.CutPrefix(header, "Bearer ")
	switch {
	case header == "":
		respond(w, http.StatusUnauthorized, `{"error":{"code":"1001","message":"Authentication parameter not received in Header, unable to authenticate"}}`)
	case !isBearer || strings.TrimSpace(key) == "" || s.options.Key != "" && key != s.options.Key:
		respond(w, http.StatusUnauthorized, `{"error":{"code":"401","message":"token expired or incorrect"}}`)
	default:
		return true
	}
	return false
}

func respond(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}
