package zai_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

// recorded is a response of the real service or its gateways, with the expected
// result.
type recorded struct {
	name   string
	status int
	body   string
	kind   zai.Kind // "" for an image
	code   string
	posts  int64 // number of requests sent
	text   string
}

const responseOfGLM = `{"created":1768451303,"data":[{"url":"https://mfile.z.ai/1768451374203-b334959408a643a8a6c74eb104746dcb.png?ufileattname=202601151228236805d575507d4570_watermark.png"}],
"id":"202601151228236805d575507d4570","request_id":"202601151228236805d575507d4570","usage":{"tokens":0,"price":0,"cost":0.0,"duration":71},"timestamp":1768451374519,"model":"GLM-Image"}`

func recordedResponses() []recorded {
	return []recorded{
		{"glm-image", 200, responseOfGLM, "", "", 1, ""},
		{"cogview on bigmodel", 200, `{"created":1762240925,"data":[{"url":"https://maas-watermark-prod.cn-wlcb.ufileos.com/1762240933358_watermark.png?UCloudPublicKey=TOKEN_x&Signature=y&Expires=1762327333"}]}`, "", "", 1, ""},
		{"documented", 200, `{"created":1760335349,"data":[{"url":"https://x.example/a.png"}],"content_filter":[{"role":"assistant","level":1}]}`, "", "", 1, ""},
		{"data as an object", 200, `{"created":1760335349,"data":{"url":"https://x.example/a.png"}}`, "", "", 1, ""},
		{"created as a string", 200, `{"created":"1760335349","data":[{"url":"https://x.example/a.png"}]}`, "", "", 1, ""},
		{"nothing but the image", 200, `{"data":[{"url":"https://x.example/a.png"}]}`, "", "", 1, ""},
		{"b64_json", 200, `{"data":[{"b64_json":"iVBORw0KGgo="}]}`, "", "", 1, ""},

		{"content, Chinese", 400, `{"contentFilter":[{"level":2,"role":"user"}],"error":{"code":"1301","message":"系统检测到输入或生成内容可能包含不安全或敏感内容，请您避免输入易产生敏感内容的提示语，感谢您的配合。"}}`, zai.KindContentBlocked, "1301", 1, "the prompt"},
		{"content, output", 400, `{"contentFilter":[{"level":1,"role":"assistant"}],"error":{"code":"1301","message":"System detected potentially unsafe or sensitive content in input or generation."}}`, zai.KindContentBlocked, "1301", 1, "the image that was made"},
		{"content, level as text", 400, `{"contentFilter":[{"level":"2","role":"user"}],"error":{"code":"1301","message":"blocked"}}`, zai.KindContentBlocked, "1301", 1, "Rephrase"},
		{"parameters", 400, `{"error":{"code":"1210","message":"Invalid API parameter, please check the documentation."}}`, zai.KindInvalidArgument, "1210", 1, "Invalid API parameter"},
		{"model", 400, `{"error":{"code":"1211","message":"Unknown Model, please check the model code."}}`, zai.KindInvalidArgument, "1211", 1, "Unknown Model"},
		{"field", 400, `{"error":{"code":"1214","message":"Incorrect role information"}}`, zai.KindInvalidArgument, "1214", 1, "Incorrect role"},
		{"prompt too long", 400, `{"error":{"code":"1261","message":"Prompt exceeds max length"}}`, zai.KindInvalidArgument, "1261", 1, "max length"},
		{"401 as code", 401, `{"error":{"code":"401","message":"token expired or incorrect"}}`, zai.KindUnauthorized, "401", 1, "region global"},
		{"401 with 1002", 401, `{"error":{"code":"1002","message":"Authorization Token is invalid, please ensure that the Authorization Token is correctly provided."}}`, zai.KindUnauthorized, "1002", 1, "--region china (https://open.bigmodel.cn/api/paas/v4)"},
		{"401 without a body", 401, ``, zai.KindUnauthorized, "", 1, "ZAI_API_KEY"},
		{"balance", 429, `{"error":{"code":"1113","message":"Insufficient balance or no resource package. Please recharge."}}`, zai.KindNoBalance, "1113", 1, "balance"},
		{"balance, Chinese", 429, `{"error":{"code":"1113","message":"余额不足或无可用资源包,请充值。"}}`, zai.KindNoBalance, "1113", 1, "not a rate limit"},
		{"balance, Anthropic form", 429, `{"type":"error","error":{"type":"rate_limit_error","code":"1113","message":"x"},"request_id":"20260419110530c93facb6dbf240cc"}`, zai.KindNoBalance, "1113", 1, "20260419110530c93facb6dbf240cc"},
		{"rate", 429, `{"error":{"code":"1302","message":"Rate limit reached for requests"}}`, zai.KindRateLimited, "1302", 1, "busy"},
		{"rate, code as number", 429, `{"error":{"code":1302,"message":"Rate limit reached for requests"},"request_id":"20260419110530c93facb6dbf240cc"}`, zai.KindRateLimited, "1302", 1, "busy"},
		{"rate, Chinese", 429, `{"error":{"code":"1302","message":"您当前使用该API的并发数过高，请降低并发，或联系客服增加限额。"}}`, zai.KindRateLimited, "1302", 1, "并发数过高"},
		{"frequency", 429, `{"error":{"code":"1303","message":"x"}}`, zai.KindRateLimited, "1303", 4, ""},
		{"overloaded", 429, `{"error":{"code":"1305","message":"The service may be temporarily overloaded"}}`, zai.KindRateLimited, "1305", 1, ""},
		{"high traffic", 429, `{"error":{"code":"1312","message":"x"}}`, zai.KindRateLimited, "1312", 4, ""},
		{"429 without code", 429, `{}`, zai.KindRateLimited, "", 1, ""},
		{"day limit", 429, `{"error":{"code":"1304","message":"x"}}`, zai.KindQuota, "1304", 1, "limit"},
		{"usage limit", 429, `{"error":{"code":"1308","message":"Usage limit reached for 5 hour. Your limit will reset at 2026-01-16 06:12:24"},"request_id":"20260116020454a2f38f10ad56479c"}`, zai.KindQuota, "1308", 1, "2026-01-16 06:12:24"},
		{"plan", 429, `{"error":{"code":"1309","message":"x"}}`, zai.KindQuota, "1309", 1, ""},
		{"fair use", 429, `{"error":{"code":"1313","message":"x"}}`, zai.KindQuota, "1313", 1, ""},
		{"account locked", 429, `{"error":{"code":"1121","message":"x"}}`, zai.KindUnauthorized, "1121", 1, ""},
		{"service, 1234", 500, `{"error":{"code":"1234","message":"网络错误，请稍后重试"}}`, zai.KindUpstream, "1234", 4, ""},
		{"service, 500", 500, `{"error":{"code":"500","message":"Internal Error"}}`, zai.KindUpstream, "500", 4, "nothing was charged"},
		{"service, 1230", 503, `{"error":{"code":"1230","message":"call process error"}}`, zai.KindUpstream, "1230", 4, ""},

		{"soft 404", 200, `{"code":500,"msg":"404 NOT_FOUND","success":false}`, zai.KindWrongRegion, "500", 1, "ZAI_BASE_URL"},
		{"soft 401", 200, `{"code":401,"msg":"token expired or incorrect","success":false}`, zai.KindUnauthorized, "401", 1, "region"},
		{"soft 1001", 200, `{"code":1001,"msg":"Authentication parameter not received in Header, unable to authenticate","success":false}`, zai.KindUnauthorized, "1001", 1, ""},
		{"plain string", 404, `{"timestamp":"2024-07-25T07:03:07.620+00:00","status":404,"error":"Not Found","path":"/v4/chat/completions/chat/completions"}`, zai.KindWrongRegion, "", 1, "Not Found"},
		{"redirect", 302, ``, zai.KindWrongRegion, "", 1, ""},

		{"gateway page", 502, `<html><head><title>502 Bad Gateway</title></head></html>`, zai.KindOutcomeUnknown, "", 1, "billed"},
		{"gateway timeout", 504, ``, zai.KindOutcomeUnknown, "", 1, "not sent again"},
		{"500 that is not JSON", 500, `oops`, zai.KindOutcomeUnknown, "", 1, ""},
		{"500 of a framework", 500, `{"timestamp":"2024-07-25T07:03:07.620+00:00","status":500,"error":"Internal Server Error","path":"/v4"}`, zai.KindOutcomeUnknown, "", 1, ""},
		{"flat 500", 500, `{"code":500,"message":"Internal Error"}`, zai.KindOutcomeUnknown, "500", 1, ""},
		{"gateway with a flat rate code", 502, `{"code":"1302","message":"x"}`, zai.KindOutcomeUnknown, "1302", 1, ""},
		{"flat rate code", 429, `{"code":1302,"message":"x"}`, zai.KindRateLimited, "1302", 1, ""},
		{"rate code at another status", 503, `{"error":{"code":"1305","message":"x"}}`, zai.KindRateLimited, "1305", 1, ""},
		{"soft 500", 200, `{"code":500,"msg":"Internal error","success":false}`, zai.KindOutcomeUnknown, "500", 1, "billed"},
		{"200 without image", 200, `{"created":1,"data":[]}`, zai.KindOutcomeUnknown, "", 1, ""},
		{"200 broken", 200, `{"created":1760335349,"data":[{"url":"https://`, zai.KindOutcomeUnknown, "", 1, ""},
		{"200 page", 200, `<html>login</html>`, zai.KindOutcomeUnknown, "", 1, ""},
	}
}

func TestGenerateImage_RecordedResponses(t *testing.T) {
	for _, tt := range recordedResponses() {
		t.Run(tt.name, func(t *testing.T) {
			h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Log-Id", "log-1")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})}
			s := httptest.NewServer(h)
			defer s.Close()
			response, err := newClient(t, s.URL+"/api/paas/v4").GenerateImage(t.Context(), kitten())
			assert.Equal(t, tt.posts, h.n.Load(), "requests sent")
			if tt.kind == "" {
				require.NoError(t, err)
				assert.NotEmpty(t, response.Data[0].URL+response.Data[0].B64JSON)
				assert.Equal(t, "log-1", response.LogID)
				return
			}
			require.ErrorIs(t, err, tt.kind)
			var e *zai.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, tt.status, e.HTTPStatus)
			assert.Equal(t, tt.code, e.Code)
			assert.Equal(t, "log-1", e.LogID)
			assert.Equal(t, tt.kind != zai.KindOutcomeUnknown, e.NotAccepted)
			message, hint := e.Explain()
			assert.Contains(t, message+" "+hint, tt.text)
			assert.NotEmpty(t, hint)
		})
	}
}

// To follow a redirect, net/http would send the request a second time.
func TestGenerateImage_RedirectNotFollowed(t *testing.T) {
	target := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, responseOfGLM) })}
	s := serve(t, target)
	for status, kind := range map[int]zai.Kind{
		301: zai.KindWrongRegion, 302: zai.KindWrongRegion, 307: zai.KindWrongRegion, 308: zai.KindWrongRegion,
		303: zai.KindOutcomeUnknown, // the request was processed, the result is elsewhere (RFC 9110, 15.4.4)
	} {
		from := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, s.URL, status) })}
		c := newClient(t, serve(t, from).URL)
		_, err := c.GenerateImage(t.Context(), kitten())
		require.ErrorIs(t, err, kind, status)
		_, err = c.Submit(t.Context(), poster())
		assert.Equal(t, kind == zai.KindWrongRegion, errors.Is(err, zai.ErrNoAsync), "%d: with ErrNoAsync the caller sends the request again", status)
		assert.EqualValues(t, 2, from.n.Load())
	}
	assert.Zero(t, target.n.Load())
}

func TestGenerateImage_ResponseFields(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"created":1760335349,"data":[{"url":"https://x.example/a.png"}],"content_filter":[{"role":"assistant","level":1}],"request_id":"r1","model":"CogView"}`)
	}))
	defer s.Close()
	response, err := newClient(t, s.URL).GenerateImage(t.Context(), kitten())
	require.NoError(t, err)
	assert.Equal(t, &zai.ImageResponse{
		Created: 1760335349, Data: []zai.ImageData{{URL: "https://x.example/a.png"}}, Model: "CogView", RequestID: "r1",
		ContentFilter: []zai.ContentFilter{{Role: "assistant", Level: 1}},
	}, response)
}

func TestGenerateImage_RequestFields(t *testing.T) {
	var got *http.Request
	var body map[string]any
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&body))
		_, _ = io.WriteString(w, responseOfGLM)
	}))
	defer s.Close()
	for _, base := range []string{s.URL + "/api/paas/v4", s.URL + "/api/paas/v4/", s.URL + "/api/paas/v4/images/generations"} {
		c := newClient(t, base, zai.WithUserAgent("test/1"))
		_, err := c.GenerateImage(t.Context(), zai.ImageRequest{Model: "cogView-4-250304", Prompt: "x", Size: "1024×768"})
		require.NoError(t, err)
		assert.Equal(t, "/api/paas/v4/images/generations", got.URL.Path)
		assert.Equal(t, "Bearer "+testKey, got.Header.Get("Authorization"))
		assert.Equal(t, "test/1", got.UserAgent())
		assert.Empty(t, got.Header.Get("Idempotency-Key"), "net/http repeats requests with this header")
		assert.Equal(t, map[string]any{"model": "cogview-4-250304", "prompt": "x", "size": "1024x768"}, body, "only fields that are set")
	}
}

// By default nothing is sent about the watermark, and the service adds it.
func TestRequests_Watermark(t *testing.T) {
	bodies := map[string]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		bodies[r.URL.Path] = string(raw)
		_, _ = io.WriteString(w, responseOfGLM)
	}))
	defer s.Close()
	for _, tt := range []struct {
		options []zai.Option
		want    string
	}{
		{nil, `{"model":"glm-image","prompt":"a fox","size":"1280x1280"}`},
		{[]zai.Option{zai.WithoutWatermark()}, `{"model":"glm-image","prompt":"a fox","size":"1280x1280","watermark_enabled":false}`},
	} {
		c := newClient(t, s.URL, tt.options...)
		request := zai.ImageRequest{Model: "glm-image", Prompt: "a fox", Size: "1280x1280"}
		_, err := c.GenerateImage(t.Context(), request)
		require.NoError(t, err)
		_, err = c.Submit(t.Context(), request)
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"/images/generations": tt.want, "/async/images/generations": tt.want}, bodies)
	}
}

func TestGenerateImage_InvalidRequestNotSent(t *testing.T) {
	h := &counter{Handler: http.NotFoundHandler()}
	s := httptest.NewServer(h)
	defer s.Close()
	c := newClient(t, s.URL)
	for name, r := range map[string]zai.ImageRequest{
		"model":      {Model: "dall-e", Prompt: "x"},
		"prompt":     {Model: "glm-image", Prompt: " \n"},
		"long":       {Model: "glm-image", Prompt: strings.Repeat("字", zai.MaxPrompt+1)},
		"size":       {Model: "glm-image", Prompt: "x", Size: "100x100"},
		"quality":    {Model: "glm-image", Prompt: "x", Quality: "low"},
		"user short": {Model: "glm-image", Prompt: "x", UserID: "字字字字字"},
		"user long":  {Model: "glm-image", Prompt: "x", UserID: strings.Repeat("u", 129)},
	} {
		_, err := c.GenerateImage(t.Context(), r)
		require.ErrorIs(t, err, zai.KindInvalidArgument, name)
	}
	assert.Zero(t, h.n.Load())
}

func TestGenerateImage_QualityOmittedForModelWithoutIt(t *testing.T) {
	var body map[string]any
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&body))
		_, _ = io.WriteString(w, responseOfGLM)
	}))
	defer s.Close()
	c := newClient(t, s.URL, zai.WithRegion(zai.China))
	_, err := c.GenerateImage(t.Context(), zai.ImageRequest{Model: "cogview-3-flash", Prompt: "x", Quality: "standard"})
	require.NoError(t, err)
	assert.NotContains(t, body, "quality")
}

// A request that was not written in full cannot have been accepted. A request
// that was written in full may have been.
func TestGenerateImage_ConnectionFailures(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := l.Addr().String()
		require.NoError(t, l.Close())
		dials := 0
		hc := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}}
		_, err = newClient(t, "http://"+address, zai.WithHTTPClient(hc)).GenerateImage(t.Context(), kitten())
		require.ErrorIs(t, err, zai.KindUpstream)
		assert.Equal(t, 4, dials, "nothing was sent, so the client retries")
	})
	t.Run("connection closed after the request", func(t *testing.T) {
		h := &counter{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })}
		s := httptest.NewServer(h)
		defer s.Close()
		_, err := newClient(t, s.URL).GenerateImage(t.Context(), kitten())
		require.ErrorIs(t, err, zai.KindOutcomeUnknown)
		assert.EqualValues(t, 1, h.n.Load())
	})
	t.Run("response cut off", func(t *testing.T) {
		h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"created":`)
		})}
		s := httptest.NewServer(h)
		defer s.Close()
		_, err := newClient(t, s.URL).GenerateImage(t.Context(), kitten())
		require.ErrorIs(t, err, zai.KindOutcomeUnknown)
		assert.EqualValues(t, 1, h.n.Load())
	})
	t.Run("request written in part", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, responseOfGLM) }))
		defer s.Close()
		dials := 0
		hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if dials == 1 && err == nil {
				return brokenConn{c, t.Context().Done()}, nil
			}
			return c, err
		}}}
		_, err := newClient(t, s.URL, zai.WithHTTPClient(hc)).GenerateImage(t.Context(), kitten())
		require.NoError(t, err, "sent again on a new connection")
		assert.Equal(t, 2, dials)
	})
	t.Run("TLS fails", func(t *testing.T) {
		h := &counter{Handler: http.NotFoundHandler()}
		s := httptest.NewTLSServer(h)
		defer s.Close()
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		_, err := newClient(t, s.URL).GenerateImage(t.Context(), kitten())
		require.ErrorIs(t, err, zai.KindUpstream)
		assert.Zero(t, h.n.Load())
	})
}

// brokenConn fails every write after half of its bytes. Reads wait for the end of the test:
// net/http then closes the connection, and could otherwise report that a read failed.
type brokenConn struct {
	net.Conn
	end <-chan struct{}
}

func (c brokenConn) Read([]byte) (int, error) {
	<-c.end
	return 0, io.EOF
}

func (c brokenConn) Write(b []byte) (int, error) {
	n, _ := c.Conn.Write(b[:len(b)/2])
	return n, &net.OpError{Op: "write", Net: "tcp", Err: errors.New("broken pipe")}
}

func TestGenerateImage_Cancelled(t *testing.T) {
	h := &counter{Handler: http.NotFoundHandler()}
	s := httptest.NewServer(h)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newClient(t, s.URL).GenerateImage(ctx, kitten())
	require.ErrorIs(t, err, zai.KindCancelled)
	assert.Zero(t, h.n.Load())
}

func TestGenerateImage_RetryWaits(t *testing.T) {
	const rate = `{"error":{"code":"1303","message":"Rate limit reached for requests"}}`
	tests := []struct {
		name       string
		retryAfter string
		want       time.Duration // of all waits together
		posts      int64
	}{
		{"doubling waits", "", (1 + 2 + 4) * time.Second, 4},
		{"seconds", "3", 9 * time.Second, 4},
		{"capped", "3600", 90 * time.Second, 4},
		{"nonsense", "soon", 7 * time.Second, 4},
		{"negative", "-5", 7 * time.Second, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if tt.retryAfter != "" {
						w.Header().Set("Retry-After", tt.retryAfter)
					}
					w.WriteHeader(429)
					_, _ = io.WriteString(w, rate)
				})}
				whole := func(limit time.Duration) time.Duration { return limit }
				c := newClient(t, "http://api.test", zai.WithHTTPClient(serveInMemory(t, h)), zai.WithClock(time.Now, whole))
				start := time.Now()
				_, err := c.GenerateImage(t.Context(), kitten())
				require.ErrorIs(t, err, zai.KindRateLimited)
				assert.Equal(t, tt.want, time.Since(start))
				assert.Equal(t, tt.posts, h.n.Load())
			})
		})
	}
	t.Run("date", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", time.Now().Add(5*time.Second).UTC().Format(http.TimeFormat))
				w.WriteHeader(429)
				_, _ = io.WriteString(w, rate)
			})}
			c := newClient(t, "http://api.test", zai.WithHTTPClient(serveInMemory(t, h)))
			start := time.Now()
			_, err := c.GenerateImage(t.Context(), kitten())
			require.ErrorIs(t, err, zai.KindRateLimited)
			assert.InDelta(t, 15, time.Since(start).Seconds(), 3)
		})
	})
	t.Run("no wait beyond the deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "20")
				w.WriteHeader(429)
				_, _ = io.WriteString(w, rate)
			})}
			c := newClient(t, "http://api.test", zai.WithHTTPClient(serveInMemory(t, h)), zai.WithTimeouts(time.Second, 40*time.Second))
			start := time.Now()
			_, err := c.GenerateImage(t.Context(), kitten())
			require.ErrorIs(t, err, zai.KindRateLimited, "the error is that of the last response, not a timeout")
			assert.Equal(t, 20*time.Second, time.Since(start))
			assert.EqualValues(t, 2, h.n.Load())
		})
	})
	t.Run("no response in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &counter{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			})}
			c := newClient(t, "http://api.test", zai.WithHTTPClient(serveInMemory(t, h)))
			start := time.Now()
			_, err := c.GenerateImage(t.Context(), kitten())
			require.ErrorIs(t, err, zai.KindOutcomeUnknown)
			assert.Equal(t, 300*time.Second, time.Since(start))
			assert.EqualValues(t, 1, h.n.Load(), "a timed-out request is not sent again")
		})
	})
}

func TestGenerateImage_JitterWithinLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, `{"error":{"code":"1234","message":"x"}}`)
		})}
		c, err := zai.NewClient(testKey, zai.WithBaseURL("http://api.test"), zai.WithHTTPClient(serveInMemory(t, h)))
		require.NoError(t, err)
		seen := map[time.Duration]bool{}
		for range 20 {
			start := time.Now()
			_, err := c.GenerateImage(t.Context(), kitten())
			require.ErrorIs(t, err, zai.KindUpstream)
			assert.LessOrEqual(t, time.Since(start), 7*time.Second)
			seen[time.Since(start)] = true
		}
		assert.Greater(t, len(seen), 10, "waits are random")
	})
}

// If the service repeats the key in an error, the key is neither in the
// returned error nor in the log.
func TestClient_KeyRedacted(t *testing.T) {
	var log bytes.Buffer
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		w.WriteHeader(401)
		fmt.Fprintf(w, `{"error":{"code":"401","message":"bad key %s or %s or %s or %s"},"request_id":"%s"}`, key, url.QueryEscape(key),
			base64.StdEncoding.EncodeToString([]byte(key)), key[:20], key)
	}))
	defer echo.Close()
	c := newClient(t, echo.URL, zai.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	_, err := c.GenerateImage(t.Context(), kitten())
	require.Error(t, err)
	message, hint := explain(t, err)
	secrets := []string{testKey, testKey[:8], base64.StdEncoding.EncodeToString([]byte(testKey))}
	for _, text := range []string{err.Error(), message, hint, log.String(), fmt.Sprintf("%v %+v %#v", c, c, c), fmt.Sprintf("%#v", err)} {
		for _, secret := range secrets {
			assert.NotContains(t, text, secret)
		}
	}
}

func TestNewClient_InvalidSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		key    string
		option zai.Option
	}{
		"empty key":        {" ", nil},
		"key with a space": {"a b", nil},
		"region":           {"k", zai.WithRegion("mars")},
		"base URL scheme":  {"k", zai.WithBaseURL("ftp://x")},
		"base URL user":    {"k", zai.WithBaseURL("https://u:p@x/")},
		"base URL query":   {"k", zai.WithBaseURL("https://x/?a=b")},
		"nil client":       {"k", zai.WithHTTPClient(nil)},
		"nil logger":       {"k", zai.WithLogger(nil)},
		"timeouts":         {"k", zai.WithTimeouts(0, time.Second)},
		"clock":            {"k", zai.WithClock(nil, nil)},
	} {
		options := []zai.Option{}
		if tt.option != nil {
			options = append(options, tt.option)
		}
		_, err := zai.NewClient(tt.key, options...)
		require.Error(t, err, name)
	}
}

// The error for a base URL never has its password or query.
func TestCheckBaseURL_KeepsSecrets(t *testing.T) {
	for _, raw := range []string{
		"https://user:hunter2@host:port/?key=hunter2", "https://user:hunter2@%zz/", "ftp://user:hunter2@host/",
		"https://user:hunter2@host/", "https://host/?key=hunter2",
	} {
		err := zai.CheckBaseURL(raw)
		require.Error(t, err, raw)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func TestNewClient_BaseURLOfRegion(t *testing.T) {
	c, err := zai.NewClient("k")
	require.NoError(t, err)
	assert.Equal(t, "https://api.z.ai/api/paas/v4", c.BaseURL())
	c, err = zai.NewClient("k", zai.WithRegion("China"))
	require.NoError(t, err)
	assert.Equal(t, "https://open.bigmodel.cn/api/paas/v4", c.BaseURL())
	assert.Equal(t, zai.China, c.Region())
}

func TestWithHTTPClient_NotChanged(t *testing.T) {
	hc := &http.Client{Timeout: time.Minute}
	_, err := zai.NewClient("k", zai.WithHTTPClient(hc))
	require.NoError(t, err)
	assert.Equal(t, &http.Client{Timeout: time.Minute}, hc)
}

func FuzzError_AnyResponse(f *testing.F) {
	for _, r := range recordedResponses() {
		f.Add(r.status, []byte(r.body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := zai.ResponseError(status, http.Header{}, body)
		if e.Kind == "" {
			t.Fatal("error without a kind")
		}
		if e.Kind == zai.KindOutcomeUnknown && e.NotAccepted {
			t.Fatal("the outcome is unknown, but NotAccepted is set")
		}
		message, hint := e.Explain()
		if message == "" || hint == "" || strings.ContainsAny(message+hint, "\n\r\x00\x1b") {
			t.Fatalf("%q %q", message, hint)
		}
		if regexp.MustCompile(`<[a-zA-Z/!?]|\]\(`).MatchString(message + hint + e.Error()) {
			t.Fatalf("markup in %q %q %q", message, hint, e.Error())
		}
		if len(e.Answer) > 8<<10 {
			t.Fatal("Answer is too long")
		}
		if len(message)+len(hint) > 4000 {
			t.Fatal("the explanation is too long")
		}
	})
}
