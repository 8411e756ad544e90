package zai_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// poster returns a request for a model with an asynchronous endpoint.
func poster() zai.ImageRequest {
	return zai.ImageRequest{Model: "glm-image", Prompt: "a poster", Size: "1280x1280"}
}

const processing = `{"model":"GLM-Image","id":"8353992347972780031","request_id":"r1","task_status":"PROCESSING"}`

// Each case is a response of the asynchronous endpoint with the expected result
// and number of requests.
func TestSubmit_Responses(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		task   string
		kind   zai.Kind
		posts  int64
	}{
		{"accepted", 200, processing, "8353992347972780031", "", 1},
		{"id as a number", 200, `{"id":8353992347972780031,"task_status":"PROCESSING"}`, "8353992347972780031", "", 1},
		{"no id", 200, `{"task_status":"PROCESSING"}`, "", zai.KindOutcomeUnknown, 1},
		{"long id", 200, `{"id":"` + strings.Repeat("1", 101) + `"}`, "", zai.KindOutcomeUnknown, 1},
		{"gateway with a code", 502, `{"code":1222,"msg":"x"}`, "", zai.KindOutcomeUnknown, 1},
		{"cut off", 200, `{"id":"83539`, "", zai.KindOutcomeUnknown, 1},
		{"gateway page", 502, `<html></html>`, "", zai.KindOutcomeUnknown, 1},
		{"busy", 429, `{"error":{"code":"1302","message":"Rate limit reached for requests"}}`, "", zai.KindRateLimited, 1},
		{"no balance", 429, `{"error":{"code":"1113","message":"Insufficient balance"}}`, "", zai.KindNoBalance, 1},
		{"blocked", 400, `{"contentFilter":[{"level":2,"role":"user"}],"error":{"code":"1301","message":"x"}}`, "", zai.KindContentBlocked, 1},
		{"key refused", 401, `{"error":{"code":"401","message":"token expired or incorrect"}}`, "", zai.KindUnauthorized, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, "/api/paas/v4/async/images/generations", r.URL.Path)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})}
			s := httptest.NewServer(api)
			defer s.Close()
			task, err := newClient(t, s.URL+"/api/paas/v4").Submit(t.Context(), poster())
			assert.Equal(t, tt.posts, api.n.Load())
			if tt.kind != "" {
				require.ErrorIs(t, err, tt.kind)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.task, task.ID)
		})
	}
}

// An endpoint that the service refuses is not used again.
func TestSubmit_EndpointRefused(t *testing.T) {
	for name, response := range map[string]string{
		"model":     `400 {"error":{"code":"1212","message":"The current model does not support the async call method."}}`,
		"offline":   `400 {"error":{"code":"1221","message":"x"}}`,
		"unknown":   `404 {"error":{"code":"1222","message":"x"}}`,
		"soft 404":  `200 {"code":500,"msg":"404 NOT_FOUND","success":false}`,
		"plain 404": `404 page not found`,
		"method":    `405 `,
	} {
		t.Run(name, func(t *testing.T) {
			api := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				status, body, _ := strings.Cut(response, " ")
				w.WriteHeader(map[string]int{"400": 400, "404": 404, "200": 200, "405": 405}[status])
				_, _ = io.WriteString(w, body)
			})}
			s := httptest.NewServer(api)
			defer s.Close()
			c := newClient(t, s.URL)
			for range 3 {
				_, err := c.Submit(t.Context(), poster())
				require.ErrorIs(t, err, zai.ErrNoAsync)
			}
			assert.EqualValues(t, 1, api.n.Load())
			_, err := c.Submit(t.Context(), kitten())
			require.ErrorIs(t, err, zai.ErrNoAsync, "nor is it used for models without the endpoint")
		})
	}
}

// Each case lists the responses to successive polls. The last one is repeated.
func TestAwait_Responses(t *testing.T) {
	const done = `200 {"model":"GLM-Image","task_status":"SUCCESS","image_result":[{"url":"https://x.example/a.png"}],"request_id":"r1"}`
	tests := []struct {
		name      string
		responses []string
		kind      zai.Kind // "" for an image
		polls     int64
		least     time.Duration
		text      string
	}{
		{"first poll", []string{done}, "", 1, 0, ""},
		{"third poll", []string{"200 " + processing, "200 " + processing, done}, "", 3, 2 * time.Second, ""},
		{"single object", []string{`200 {"task_status":"SUCCESS","image_result":{"url":"https://x.example/a.png"}}`}, "", 1, 0, ""},
		{"gateway failures", []string{"502 <html>", "500 ", "200 <html>", "429 {}", done}, "", 5, 0, ""},
		{"Retry-After", []string{"429 {} Retry-After", done}, "", 2, 20 * time.Second, ""},
		{"key refused once", []string{"401 {}", done}, "", 2, 0, ""},
		{"key refused between successful polls", []string{"401 {}", "200 " + processing, "401 {}", "200 " + processing, "401 {}", done}, "", 6, 0, ""},
		{"failed", []string{`200 {"task_status":"FAIL"}`}, zai.KindUpstream, 1, 0, "the task failed"},
		{"blocked", []string{`200 {"task_status":"FAIL","error":{"code":"1301","message":"unsafe"}}`}, zai.KindContentBlocked, 1, 0, "unsafe"},
		{"failed, error as a string", []string{`200 {"task_status":"FAIL","error":"content policy"}`}, zai.KindUpstream, 1, 0, "content policy"},
		{"unknown task", []string{`400 {"error":{"code":"1214","message":"task does not exist"}}`}, zai.KindOutcomeUnknown, 3, 0, "get_image"},
		{"no image", []string{`200 {"task_status":"SUCCESS","image_result":[]}`}, zai.KindOutcomeUnknown, 1, 0, "without an image"},
		{"always processing", []string{"200 " + processing}, zai.KindOutcomeUnknown, 181, 14*time.Minute + 50*time.Second, "get_image"},
		{"always a gateway failure", []string{"502 <html>"}, zai.KindOutcomeUnknown, 181, 14*time.Minute + 50*time.Second, "get_image"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &counter{}
				api.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					assert.Equal(t, "/async-result/t%2F1", r.URL.EscapedPath())
					assert.Equal(t, "Bearer "+testKey, r.Header.Get("Authorization"))
					response := tt.responses[min(int(api.n.Load()), len(tt.responses))-1]
					status, body, _ := strings.Cut(response, " ")
					if text, wait := strings.CutSuffix(body, " Retry-After"); wait {
						body = text
						w.Header().Set("Retry-After", "20")
					}
					w.WriteHeader(map[string]int{"200": 200, "400": 400, "401": 401, "429": 429, "500": 500, "502": 502}[status])
					_, _ = io.WriteString(w, body)
				})
				start := time.Now()
				c := newClient(t, "http://127.0.0.1", zai.WithHTTPClient(serveInMemory(t, api)))
				response, err := c.Await(t.Context(), "t/1")
				assert.InDelta(t, tt.polls, api.n.Load(), 2)
				assert.GreaterOrEqual(t, time.Since(start), tt.least)
				assert.LessOrEqual(t, time.Since(start), 15*time.Minute)
				if tt.kind != "" {
					require.ErrorIs(t, err, tt.kind)
					message, hint := explain(t, err)
					assert.Contains(t, message+hint, tt.text)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, "https://x.example/a.png", response.Data[0].URL)
			})
		})
	}
}

func TestAwait_ContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "http://127.0.0.1", zai.WithHTTPClient(serveInMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, processing)
		}))))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Await(ctx, "1")
		require.ErrorIs(t, err, zai.KindOutcomeUnknown)
		assert.LessOrEqual(t, time.Since(start), 3*time.Second)
	})
}

func TestAwait_Sandbox(t *testing.T) {
	s := sandbox.New(sandbox.Options{MaxConcurrent: sandbox.Unlimited})
	api := httptest.NewServer(s)
	t.Cleanup(api.Close)
	c := newClient(t, api.URL+sandbox.BasePath, quickPolls())
	for prompt, kind := range map[string]zai.Kind{
		"a poster": "", "sandbox:delay=100ms": "", "sandbox:task_failed": zai.KindContentBlocked, "sandbox:task_gone": zai.KindOutcomeUnknown,
	} {
		t.Run(prompt, func(t *testing.T) {
			t.Parallel()
			request := poster()
			request.Prompt = prompt
			task, err := c.Submit(t.Context(), request)
			require.NoError(t, err)
			response, err := c.Await(t.Context(), task.ID)
			if kind != "" {
				require.ErrorIs(t, err, kind)
				return
			}
			require.NoError(t, err)
			image, err := c.Download(t.Context(), response.Data[0])
			require.NoError(t, err)
			defer image.Close()
			assert.Equal(t, 1280, image.Width)
		})
	}
}

// CheckKey sends no POST.
func TestCheckKey(t *testing.T) {
	for response, kind := range map[string]zai.Kind{
		`400 {"error":{"code":"1214","message":"task does not exist"}}`:       "",
		`200 {"model":"x","task_status":"PROCESSING"}`:                        "",
		`429 {"error":{"code":"1113","message":"Insufficient balance"}}`:      "",
		`429 {"error":{"code":"1302","message":"Rate limit reached"}}`:        "",
		`401 {"error":{"code":"401","message":"token expired or incorrect"}}`: zai.KindUnauthorized,
		`200 {"code":401,"msg":"token expired or incorrect","success":false}`: zai.KindUnauthorized,
		`200 {"code":500,"msg":"404 NOT_FOUND","success":false}`:              zai.KindWrongRegion,
		`404 page not found`: zai.KindWrongRegion,
		`502 <html>`:         zai.KindOutcomeUnknown,
		`400 {"error":{"code":"1220","message":"no permission for this API"}}`: zai.KindUnauthorized,
	} {
		api := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, http.MethodGet, r.Method)
			status, body, _ := strings.Cut(response, " ")
			w.WriteHeader(map[string]int{"200": 200, "400": 400, "401": 401, "404": 404, "429": 429, "502": 502}[status])
			_, _ = io.WriteString(w, body)
		})}
		s := httptest.NewServer(api)
		err := newClient(t, s.URL).CheckKey(t.Context())
		if kind == "" {
			require.NoError(t, err, response)
		} else {
			require.ErrorIs(t, err, kind, response)
		}
		assert.EqualValues(t, 1, api.n.Load())
		s.Close()
	}
}
