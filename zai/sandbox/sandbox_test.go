package sandbox_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	_ "image/jpeg"
	_ "image/png"
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

func start(t *testing.T, options sandbox.Options) (*sandbox.Sandbox, *zai.Client, string) {
	t.Helper()
	s := sandbox.New(options)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := zai.NewClient("key", zai.WithBaseURL(server.URL+sandbox.BasePath), zai.WithClock(time.Now, func(time.Duration) time.Duration { return 0 }))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return s, c, server.URL
}

func request(prompt string) zai.ImageRequest {
	return zai.ImageRequest{Model: "cogview-4-250304", Prompt: prompt, Size: "512x512"}
}

func fetch(t *testing.T, c *zai.Client, prompt string) []byte {
	t.Helper()
	response, err := c.GenerateImage(t.Context(), request(prompt))
	require.NoError(t, err)
	img, err := c.Download(t.Context(), response.Data[0])
	require.NoError(t, err)
	defer img.Close()
	b, err := io.ReadAll(img)
	require.NoError(t, err)
	return b
}

func TestSandbox_Images(t *testing.T) {
	_, c, _ := start(t, sandbox.Options{})
	fox, hen := fetch(t, c, "a fox"), fetch(t, c, "a hen")
	img, format, err := image.Decode(bytes.NewReader(fox))
	require.NoError(t, err)
	assert.Equal(t, "png", format)
	assert.Equal(t, image.Rect(0, 0, 512, 512), img.Bounds())
	assert.NotEqual(t, fox, hen, "images of different prompts differ")
	assert.NotEqual(t, fox, fetch(t, c, "a fox"), "images of one prompt differ")

	_, c, _ = start(t, sandbox.Options{})
	assert.Equal(t, fox, fetch(t, c, "a fox"), "equal seeds give equal images")
	_, c, _ = start(t, sandbox.Options{Seed: 7})
	assert.NotEqual(t, fox, fetch(t, c, "a fox"))

	_, c, _ = start(t, sandbox.Options{JPEG: true})
	_, format, err = image.Decode(bytes.NewReader(fetch(t, c, "a fox")))
	require.NoError(t, err)
	assert.Equal(t, "jpeg", format)
}

func TestSandbox_AllSizesOfModels(t *testing.T) {
	s, c, _ := start(t, sandbox.Options{})
	n := int64(0)
	for _, m := range zai.Models(zai.Global) {
		for _, size := range append(m.SizeNames(), "2048x1024") {
			_, err := c.GenerateImage(t.Context(), zai.ImageRequest{Model: m.ID, Prompt: "x", Size: size, Quality: m.DefaultQuality()})
			require.NoError(t, err, "%s %s", m.ID, size)
			n++
		}
	}
	assert.Equal(t, n, s.Accepted())
}

func TestSandbox_Faults(t *testing.T) {
	tests := []struct {
		prompt          string
		kind            zai.Kind // "" for an image
		posts, accepted int64
	}{
		{"x sandbox:unauthorized", zai.KindUnauthorized, 1, 0},
		{"x sandbox:wrong_region", zai.KindWrongRegion, 1, 0},
		{"x sandbox:no_balance", zai.KindNoBalance, 1, 0},
		{"x sandbox:rate_limited", zai.KindRateLimited, 1, 0},
		{"x sandbox:too_frequent", zai.KindRateLimited, 4, 0},
		{"x sandbox:too_frequent*2", "", 3, 1},
		{"x sandbox:too_frequent@1", "", 2, 1},
		{"x sandbox:quota", zai.KindQuota, 1, 0},
		{"x sandbox:content_blocked", zai.KindContentBlocked, 1, 0},
		{"x sandbox:content_blocked_output", zai.KindContentBlocked, 1, 0},
		{"x sandbox:invalid_argument", zai.KindInvalidArgument, 1, 0},
		{"x sandbox:upstream", zai.KindUpstream, 4, 0},
		{"x sandbox:outcome_unknown", zai.KindOutcomeUnknown, 1, 1},
		{"x sandbox:hangup", zai.KindOutcomeUnknown, 1, 1},
		{"x sandbox:no_picture", zai.KindOutcomeUnknown, 1, 1},
		{"x sandbox:broken_json", zai.KindOutcomeUnknown, 1, 1},
		{"x sandbox:jpeg", "", 1, 1},
		{"x sandbox:b64", "", 1, 1},
		{"x sandbox:filtered", "", 1, 1},
		{"x sandbox:delay=20ms", "", 1, 1},
		{"sandbox:delay=20ms sandbox:no_balance", zai.KindNoBalance, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.prompt, func(t *testing.T) {
			s, c, _ := start(t, sandbox.Options{})
			response, err := c.GenerateImage(t.Context(), request(tt.prompt))
			assert.Equal(t, tt.posts, s.Posts())
			assert.Equal(t, tt.accepted, s.Accepted())
			if tt.kind != "" {
				require.ErrorIs(t, err, tt.kind)
				return
			}
			require.NoError(t, err)
			img, err := c.Download(t.Context(), response.Data[0])
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, img)
			require.NoError(t, err)
			require.NoError(t, img.Close())
		})
	}
	t.Run("by option", func(t *testing.T) {
		_, c, _ := start(t, sandbox.Options{Fault: "no_balance"})
		_, err := c.GenerateImage(t.Context(), request("a fox"))
		require.ErrorIs(t, err, zai.KindNoBalance)
	})
}

func TestSandbox_Links(t *testing.T) {
	_, c, _ := start(t, sandbox.Options{})
	links := func(fault string) string {
		response, err := c.GenerateImage(t.Context(), request("x sandbox:"+fault))
		require.NoError(t, err)
		return response.Data[0].URL
	}
	get := func(url string, key bool) (int, []byte, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		if key {
			r.Header.Set("Authorization", "Bearer key")
		}
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		b, err := io.ReadAll(response.Body)
		return response.StatusCode, b, err
	}
	late := links("late")
	for _, want := range []int{404, 404, 200} {
		status, _, err := get(late, false)
		require.NoError(t, err)
		assert.Equal(t, want, status)
	}
	status, _, _ := get(late, true)
	assert.Equal(t, 403, status, "image hosts refuse the key")
	status, body, _ := get(links("download"), false)
	assert.Equal(t, 404, status)
	assert.JSONEq(t, `{"RetCode":-148654,"ErrMsg":"file not exist"}`, string(body))
	truncated := links("truncated")
	_, _, err := get(truncated, false)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, _, err = get(truncated, false)
	require.NoError(t, err)
	_, page, _ := get(links("page"), false)
	assert.Contains(t, string(page), "<html>")
	_, huge, _ := get(links("huge"), false)
	assert.Greater(t, len(huge), 512*512*2, "noise cannot be compressed")
}

func TestSandbox_Responses(t *testing.T) {
	_, _, url := start(t, sandbox.Options{Key: "right"})
	post := func(path, key, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, strings.NewReader(body))
		require.NoError(t, err)
		if key != "" {
			r.Header.Set("Authorization", key)
		}
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		b, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(b)
	}
	const path, good = "/api/paas/v4/images/generations", `{"model":"cogview-4-250304","prompt":"x"}`
	for _, tt := range []struct {
		name, path, key, body string
		status                int
		part                  string
	}{
		{"good", path, "Bearer right", good, 200, `"url":"http://127.0.0.1`},
		{"no key", path, "", good, 401, `"1001"`},
		{"wrong key", path, "Bearer wrong", good, 401, `"401"`},
		{"no bearer", path, "right", good, 401, `"401"`},
		{"other path", "/v1/images/generations", "Bearer right", good, 200, `"msg":"404 NOT_FOUND"`},
		{"no JSON", path, "Bearer right", "x", 400, `"1210"`},
		{"no model", path, "Bearer right", `{"prompt":"x"}`, 400, `"1213"`},
		{"model", path, "Bearer right", `{"model":"x","prompt":"x"}`, 400, `"1211"`},
		{"prompt", path, "Bearer right", `{"model":"glm-image","prompt":" "}`, 400, `"1214"`},
		{"size", path, "Bearer right", `{"model":"cogview-4-250304","prompt":"x","size":"2048x2048"}`, 400, `"1214"`},
		{"size form", path, "Bearer right", `{"model":"cogview-4-250304","prompt":"x","size":"1024×1024"}`, 400, `"1214"`},
		{"quality", path, "Bearer right", `{"model":"glm-image","prompt":"x","quality":"standard"}`, 400, `"1214"`},
		{"user", path, "Bearer right", `{"model":"glm-image","prompt":"x","user_id":"short"}`, 400, `"1214"`},
		{"watermark", path, "Bearer right", `{"model":"glm-image","prompt":"x","watermark_enabled":false}`, 200, `"url"`},
		{"watermark form", path, "Bearer right", `{"model":"glm-image","prompt":"x","watermark_enabled":"off"}`, 400, `"1210"`},
		{"async", "/api/paas/v4/async/images/generations", "Bearer right", good, 400, `"1212"`},
	} {
		status, body := post(tt.path, tt.key, tt.body)
		assert.Equal(t, tt.status, status, tt.name)
		assert.Contains(t, body, tt.part, tt.name)
	}
}

func TestSandbox_Tasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{Delay: func(string, string) time.Duration { return time.Minute }})
		submit := func() string {
			submitted := call(t, s, http.MethodPost, "/async/images/generations", `{"model":"glm-image","prompt":"x"}`)
			require.Equal(t, "PROCESSING", submitted["task_status"])
			return "/async-result/" + submitted["id"].(string)
		}
		task := submit()
		assert.Equal(t, "PROCESSING", call(t, s, http.MethodGet, task, "")["task_status"])
		time.Sleep(time.Minute)
		result := call(t, s, http.MethodGet, task, "")
		assert.Equal(t, "SUCCESS", result["task_status"])
		images := result["image_result"].([]any)
		assert.Contains(t, images[0].(map[string]any)["url"], "/files/")
		assert.Contains(t, call(t, s, http.MethodGet, "/async-result/77", ""), "error")

		task = submit()
		s.Close()
		assert.Equal(t, "SUCCESS", call(t, s, http.MethodGet, task, "")["task_status"], "Close finishes tasks")
	})
}

// call sends a request to the sandbox without a network.
func call(t *testing.T, s *sandbox.Sandbox, method, path, body string) map[string]any {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, sandbox.BasePath+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var decoded map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &decoded))
	return decoded
}

func TestStart_Addresses(t *testing.T) {
	base, err := sandbox.Start(t.Context(), "127.0.0.1:0", sandbox.Options{})
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(base, sandbox.BasePath))
	_, err = sandbox.Start(t.Context(), "256.0.0.1:0", sandbox.Options{})
	require.Error(t, err)
}

// The default limits are those of the service: five for cogview-4-250304 and
// one for glm-image.
func TestSandbox_MaxConcurrent(t *testing.T) {
	for name, tt := range map[string]struct {
		maxConcurrent int
		request       zai.ImageRequest
		most          int
	}{
		"cogview-4":            {0, zai.ImageRequest{Model: "cogview-4-250304", Size: "512x512"}, 5},
		"another spelling":     {0, zai.ImageRequest{Model: "cogView-4-250304", Size: "512x512"}, 5},
		"glm-image":            {0, zai.ImageRequest{Model: "glm-image", Size: "512x512"}, 1},
		"raised for glm-image": {3, zai.ImageRequest{Model: "glm-image", Size: "512x512"}, 3},
		"lowered":              {2, zai.ImageRequest{Model: "cogview-4-250304", Size: "512x512"}, 2},
		"unlimited":            {sandbox.Unlimited, zai.ImageRequest{Model: "glm-image", Size: "512x512"}, 8},
	} {
		t.Run(name, func(t *testing.T) {
			const callers = 8
			together, release := make(chan struct{}), make(chan struct{})
			s, c, _ := start(t, sandbox.Options{MaxConcurrent: tt.maxConcurrent, Delay: func(string, string) time.Duration {
				together <- struct{}{}
				<-release
				return 0
			}})
			errs := make(chan error, callers)
			for range callers {
				go func() {
					request := tt.request
					request.Prompt = "a fox"
					_, err := c.GenerateImage(t.Context(), request)
					errs <- err
				}()
			}
			for range tt.most {
				<-together
			}
			for range callers - tt.most {
				var e *zai.Error
				require.ErrorAs(t, <-errs, &e)
				assert.True(t, e.TooManyInFlight())
				assert.Equal(t, "1302", e.Code)
			}
			close(release)
			for range tt.most {
				require.NoError(t, <-errs)
			}
			assert.Equal(t, tt.most, s.MostInFlight(strings.ToUpper(tt.request.Model)))
			assert.EqualValues(t, callers-tt.most, s.Refused())
			assert.EqualValues(t, tt.most, s.Accepted())
		})
	}
}

// A request with a fault is not in flight after it has ended.
func TestSandbox_EndedRequestNotInFlight(t *testing.T) {
	s, c, _ := start(t, sandbox.Options{MaxConcurrent: 1})
	for _, fault := range []string{"hangup", "outcome_unknown", "no_balance", "b64", "download"} {
		for range 3 {
			_, err := c.GenerateImage(t.Context(), request("x sandbox:"+fault))
			if e, ok := errors.AsType[*zai.Error](err); ok {
				assert.False(t, e.TooManyInFlight(), fault)
			}
		}
	}
	assert.Equal(t, 1, s.MostInFlight("cogview-4-250304"))
	assert.Zero(t, s.MostInFlight("glm-image"))
}

func TestSandbox_TaskInFlightUntilFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{Delay: sandbox.Realistic(1)})
		call := func(method, path, body string) (int, string) {
			r := httptest.NewRequestWithContext(t.Context(), method, sandbox.BasePath+path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer x")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			return w.Code, w.Body.String()
		}
		const task = `{"model":"glm-image","prompt":"x"}`
		status, first := call(http.MethodPost, "/async/images/generations", task)
		require.Equal(t, 200, status)
		for _, path := range []string{"/async/images/generations", "/images/generations"} {
			status, body := call(http.MethodPost, path, task)
			assert.Equal(t, 429, status)
			assert.JSONEq(t, `{"error":{"code":"1302","message":"Rate limit reached for requests"}}`, body)
		}
		status, _ = call(http.MethodPost, "/images/generations", `{"model":"cogview-4-250304","prompt":"x"}`)
		assert.Equal(t, 200, status, "each model has its own limit")

		time.Sleep(45*time.Second - 8*time.Second - time.Nanosecond)
		status, _ = call(http.MethodPost, "/async/images/generations", task)
		assert.Equal(t, 429, status)
		time.Sleep(time.Nanosecond)
		var submitted struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(first), &submitted))
		_, result := call(http.MethodGet, "/async-result/"+submitted.ID, "")
		assert.Contains(t, result, "SUCCESS")
		status, _ = call(http.MethodPost, "/async/images/generations", task)
		assert.Equal(t, 200, status)
		assert.Equal(t, 1, s.MostInFlight("glm-image"))
		assert.EqualValues(t, 3, s.Refused())
	})
}

func TestSandbox_CloseEndsDelays(t *testing.T) {
	s, c, _ := start(t, sandbox.Options{})
	done := make(chan error, 1)
	go func() {
		_, err := c.GenerateImage(t.Context(), request("sandbox:delay=1h"))
		done <- err
	}()
	require.Eventually(t, func() bool { return s.Accepted() == 1 }, 10*time.Second, time.Millisecond)
	s.Close()
	s.Close()
	require.NoError(t, <-done)
}
