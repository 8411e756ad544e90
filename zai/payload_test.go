package zai_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

// respondingClient returns a client of a service that sends the same response
// to every request, and the counter of its requests.
func respondingClient(t *testing.T, status int, body string, options ...zai.Option) (*zai.Client, *counter) {
	t.Helper()
	h := &counter{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})}
	return newClient(t, serve(t, h).URL, options...), h
}

const link = "https://x.example/a.png"

// GenerateImage, Submit and Await find an image that was paid for in a response
// of any form.
func TestGenerateImage_ResponseForms(t *testing.T) {
	for name, body := range map[string]string{
		"blanks around the link":        `{"data":[{"url":" https://x.example/a.png\n"}]}`,
		"revised_prompt as a list":      `{"data":[{"url":"https://x.example/a.png","revised_prompt":["a","b"]}]}`,
		"revised_prompt as a number":    `{"data":[{"url":"https://x.example/a.png","revised_prompt":7}]}`,
		"b64_json false":                `{"data":[{"url":"https://x.example/a.png","b64_json":false}]}`,
		"b64_json an object":            `{"data":[{"url":"https://x.example/a.png","b64_json":{}}]}`,
		"url as a list":                 `{"data":[{"url":["https://x.example/a.png"]}]}`,
		"url as an object":              `{"data":[{"image_url":{"url":"https://x.example/a.png"}}]}`,
		"link in second element":        `{"data":[{"url":""},{"url":"https://x.example/a.png"}]}`,
		"null before the link":          `{"data":[null,7,{"url":null},{"url":"https://x.example/a.png"}]}`,
		"second can be fetched":         `{"data":[{"url":"http://x.example/a.png"},{"url":"https://x.example/a.png"}]}`,
		"images":                        `{"images":[{"url":"https://x.example/a.png"}]}`,
		"image_result":                  `{"image_result":[{"url":"https://x.example/a.png"}]}`,
		"list of links":                 `{"images":["https://x.example/a.png"]}`,
		"data as a link":                `{"data":"https://x.example/a.png"}`,
		"data within data":              `{"code":200,"msg":"ok","success":true,"data":{"data":[{"url":"https://x.example/a.png"}]}}`,
		"image_result within data":      `{"data":{"image_result":[{"url":"https://x.example/a.png"}]}}`,
		"list around the body":          `[{"created":1762240925,"data":[{"url":"https://x.example/a.png"}]}]`,
		"byte order mark":               "\ufeff" + `{"data":[{"url":"https://x.example/a.png"}]}`,
		"link alone":                    `"https://x.example/a.png"`,
		"empty error":                   `{"error":{},"data":[{"url":"https://x.example/a.png"}]}`,
		"chat response":                 `{"choices":[{"message":{"content":"Here it is: ![fox](https://x.example/a.png)."}}]}`,
		"link at the end of a sentence": `{"choices":[{"message":{"content":"Your image: https://x.example/a.png."}}]}`,
		"link in a Chinese sentence":    `{"choices":[{"message":{"content":"图片：https://x.example/a.png，请查收。"}}]}`,
		"link in bold":                  `{"choices":[{"message":{"content":"**https://x.example/a.png**"}}]}`,
		"unknown fields":                `{"outcome":{"picture":{"href":"https://x.example/a.png","thumb_of":"https://x.example/a.png"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, h := respondingClient(t, 200, body)
			response, err := c.GenerateImage(t.Context(), kitten())
			require.NoError(t, err)
			require.Len(t, response.Data, 1)
			assert.Equal(t, link, response.Data[0].URL)

			task, err := c.Submit(t.Context(), poster())
			require.NoError(t, err)
			require.NotNil(t, task.Response, "the image, not a task")
			assert.Equal(t, link, task.Response.Data[0].URL)
			assert.EqualValues(t, 2, h.n.Load())

			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, "http://api.test", zai.WithHTTPClient(serveInMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, body)
				}))))
				response, err := c.Await(t.Context(), "1")
				require.NoError(t, err)
				assert.Equal(t, link, response.Data[0].URL)
			})
		})
	}
}

func TestGenerateImage_InlineForms(t *testing.T) {
	file := pngOf(t, 20, 10)
	std := base64.StdEncoding.EncodeToString(file)
	wrapped := std[:40] + `\r\n` + std[40:]
	for name, body := range map[string]string{
		"b64_json":                   `{"data":[{"b64_json":"` + std + `"}]}`,
		"data URL as url":            `{"data":[{"url":"data:image/png;base64,` + std + `"}]}`,
		"data URL without a type":    `{"data":[{"url":"DATA:;base64,` + std + `"}]}`,
		"data URL as b64_json":       `{"data":[{"b64_json":"data:image/webp;base64,` + std + `"}]}`,
		"data URL beside a bad link": `{"data":[{"url":"nowhere"},{"url":"data:image/png;base64,` + std + `"}]}`,
		"list of base64":             `{"images":["` + std + `"]}`,
		"without padding":            `{"data":[{"b64_json":"` + strings.TrimRight(std, "=") + `"}]}`,
		"URL-safe alphabet":          `{"data":[{"b64_json":"` + base64.URLEncoding.EncodeToString(file) + `"}]}`,
		"in lines":                   `{"data":[{"b64_json":"` + wrapped + `\n"}]}`,
		"escaped":                    `{"data":[{"b64_json":"` + strings.ReplaceAll(std, "/", `\/`) + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := respondingClient(t, 200, body)
			response, err := c.GenerateImage(t.Context(), kitten())
			require.NoError(t, err)
			require.Empty(t, response.Data[0].URL, "not a link")
			img, err := c.Download(t.Context(), response.Data[0])
			require.NoError(t, err)
			all, err := io.ReadAll(img)
			require.NoError(t, err)
			assert.Equal(t, file, all)
		})
	}
	c, _ := respondingClient(t, 200, "")
	img, err := c.Download(t.Context(), zai.ImageData{URL: "data:image/png;base64," + std})
	require.NoError(t, err, "catalogs of earlier versions may contain one")
	assert.Equal(t, "image/png", img.MIMEType)
}

// A response without an image is an error. If the outcome is unknown, the error
// has the beginning of the response.
func TestGenerateImage_ResponseWithoutImage(t *testing.T) {
	key := testKey
	for name, tt := range map[string]struct {
		status int
		body   string
		kind   zai.Kind
	}{
		"two links":                    {200, `{"a":"https://x.example/a.png","b":"https://x.example/b.png"}`, zai.KindOutcomeUnknown},
		"a link to a page":             {200, `{"docs":"https://x.example/help"}`, zai.KindOutcomeUnknown},
		"a refusal with an image link": {200, `{"code":401,"msg":"see https://x.example/help.png","success":false}`, zai.KindUnauthorized},
		"a refusal with a page":        {200, `{"success":false,"code":1113,"data":{"url":"https://x.example/recharge"}}`, zai.KindNoBalance},
		"a failure with a link":        {502, `{"data":[{"url":"https://x.example/a.png"}]}`, zai.KindOutcomeUnknown},
		"the key in it":                {200, `{"you":"sent ` + key + ` to me"}`, zai.KindOutcomeUnknown},
		"binary data":                  {200, "\xff\xfe\x00\x01\x1b[2J{", zai.KindOutcomeUnknown},
		"long text":                    {200, `{"novel":"` + strings.Repeat("字", 100_000) + key + `"}`, zai.KindOutcomeUnknown},
		"the key at the cut":           {200, `{"x":"` + strings.Repeat("y", 4<<10-20) + key + `"}`, zai.KindOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			c, h := respondingClient(t, tt.status, tt.body)
			_, err := c.GenerateImage(t.Context(), kitten())
			e, ok := errors.AsType[*zai.Error](err)
			require.True(t, ok)
			assert.Equal(t, tt.kind, e.Kind)
			assert.EqualValues(t, 1, h.n.Load())
			assert.Equal(t, tt.kind == zai.KindOutcomeUnknown, e.Answer != "")
			assert.True(t, utf8.ValidString(e.Answer))
			assert.LessOrEqual(t, len(e.Answer), 4<<10)
			assert.NotContains(t, e.Answer, "\x1b")
			assert.NotContains(t, e.Answer, key[:8])
			assert.Less(t, len(err.Error()), 2000)
		})
	}
	t.Run("cut off", func(t *testing.T) {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"created":1,"data":[{"url":"https://x.example/a.png`)
		}))
		_, err := newClient(t, s.URL).GenerateImage(t.Context(), kitten())
		e, ok := errors.AsType[*zai.Error](err)
		require.True(t, ok)
		assert.Contains(t, e.Answer, link, "the image can be fetched by hand")
	})
	t.Run("task without an image", func(t *testing.T) {
		c, _ := respondingClient(t, 200, `{"task_status":"SUCCESS","elsewhere":"ftp://x/a.png"}`, quickPolls())
		_, err := c.Await(t.Context(), "1")
		e, ok := errors.AsType[*zai.Error](err)
		require.True(t, ok)
		assert.Contains(t, e.Answer, "ftp://x/a.png")
	})
}

// A response with "success": true is not a refusal, even if its code is that of
// one.
func TestGenerateImage_SuccessWithCodeOfRefusal(t *testing.T) {
	c, _ := respondingClient(t, 200, `{"code":1000,"msg":"success","success":true,"data":{"url":"https://x.example/i/1"}}`)
	response, err := c.GenerateImage(t.Context(), kitten())
	require.NoError(t, err)
	assert.Equal(t, "https://x.example/i/1", response.Data[0].URL)

	c, _ = respondingClient(t, 200, `{"code":1000,"msg":"success","success":true,"data":{}}`)
	_, err = c.GenerateImage(t.Context(), kitten())
	require.ErrorIs(t, err, zai.KindOutcomeUnknown)
}

// Only the exact message of the gateways means that there is no API at the
// address. A similar message may come from a service that made an image and
// lost its file.
func TestSubmit_NotFoundMessageOfOtherResponse(t *testing.T) {
	c, h := respondingClient(t, 200, `{"code":9,"msg":"FILE_NOT_FOUND","success":false}`)
	_, err := c.Submit(t.Context(), poster())
	require.ErrorIs(t, err, zai.KindOutcomeUnknown, "the caller must not send it again")
	assert.EqualValues(t, 1, h.n.Load())
}

// Characters that are removed from a text must not hide the key from redaction.
func TestError_KeySplitByControlCharacter(t *testing.T) {
	split := testKey[:4] + "\x00" + testKey[4:]
	c, _ := respondingClient(t, 200, `{"you":"sent `+split+` to me"`)
	_, err := c.GenerateImage(t.Context(), kitten())
	e, ok := errors.AsType[*zai.Error](err)
	require.True(t, ok)
	assert.Contains(t, e.Answer, "to me")
	for _, text := range []string{e.Answer, e.Message, err.Error()} {
		assert.NotContains(t, text, testKey[:8])
	}
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			fmt.Fprintf(conn, "%s\r\n\r\n", split)
			conn.Close()
		}
	}))
	_, err = newClient(t, s.URL).GenerateImage(t.Context(), kitten())
	require.ErrorIs(t, err, zai.KindOutcomeUnknown)
	assert.NotContains(t, err.Error(), testKey[:8])
}

// Errors and the catalog contain links, so their length is limited.
func TestError_LongLinksBounded(t *testing.T) {
	long := "https://x.example/" + strings.Repeat("a", 8<<20) + ".png"
	c, _ := respondingClient(t, 200, `{"data":[{"url":"`+long+`"}]}`)
	_, err := c.GenerateImage(t.Context(), kitten())
	e, ok := errors.AsType[*zai.Error](err)
	require.True(t, ok)
	assert.Equal(t, zai.KindOutcomeUnknown, e.Kind)
	bounded(t, e)

	for name, raw := range map[string]string{
		"long": long, "data": "data:image/png," + strings.Repeat("a", 8<<20), "broken inline": "data:image/png;base64," + strings.Repeat("a", 8<<20),
		"no link": strings.Repeat("%", 8<<20), "port": "https://x.example:" + strings.Repeat("1", 3<<10) + "/a.png",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Download(t.Context(), zai.ImageData{URL: raw})
			e, ok := errors.AsType[*zai.Error](err)
			require.True(t, ok)
			assert.Equal(t, zai.KindDownload, e.Kind)
			bounded(t, e)
		})
	}
}

func bounded(t *testing.T, e *zai.Error) {
	t.Helper()
	message, hint := e.Explain()
	assert.LessOrEqual(t, len(e.URL), 4<<10)
	assert.LessOrEqual(t, len(e.Answer), 4<<10)
	for _, text := range []string{e.Error(), message, hint, e.Message, e.Code, e.RequestID, e.LogID} {
		assert.Less(t, len(text), 2000)
	}
}

// Errors of net/http are also limited in length and do not contain the key.
func TestGenerateImage_MalformedHTTPResponse(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			fmt.Fprintf(c, "%s %s\r\n\r\n", testKey, strings.Repeat("x", 100_000))
			c.Close()
		}
	}))
	_, err := newClient(t, s.URL).GenerateImage(t.Context(), kitten())
	require.ErrorIs(t, err, zai.KindOutcomeUnknown)
	assert.Contains(t, err.Error(), "malformed HTTP")
	assert.NotContains(t, err.Error(), testKey[:8])
	assert.Less(t, len(err.Error()), 2000)
}

// Messages contain no markup from the service, because models read them and
// hosts render them.
func TestError_ExplainWithoutMarkup(t *testing.T) {
	for sent, want := range map[string]string{
		`Prompt too long`: "Prompt too long", `sides < 2048 and > 512`: "sides < 2048 and > 512", `[1113][no balance][2026]`: "[1113][no balance][2026]",
		`<b>bad</b> <img src=x onerror=alert(1)>size`: "bad size", `<script>alert("x")</script>bad`: "bad", `a<!-- hidden -->b`: "a b", `open <img src=x`: "open",
		`<scr<b>ipt>x`: "ipt>x", "<\x00img src=x>y": "y", `![look](https://evil.example/?q=secret)`: "look", `[click](javascript:x) here`: "click here",
		`[![a](https://b.example)](https://c.example)`: "a", `[x]: https://evil.example/a.png bad`: "x bad", `<https://evil.example> bad`: "bad",
		`cut [off](https://evil.example/`: "cut off", `stray](https://evil.example)`: "stray] (https://evil.example)",
	} {
		message, err := json.Marshal(sent)
		require.NoError(t, err)
		body := fmt.Sprintf(`{"error":{"code":"1214<b>","message":%s},"request_id":"r<img src=x>1"}`, message)
		c, _ := respondingClient(t, 400, body)
		_, err = c.GenerateImage(t.Context(), kitten())
		e, ok := errors.AsType[*zai.Error](err)
		require.True(t, ok)
		assert.Equal(t, want, e.Message)
		explained, _ := e.Explain()
		assert.NotRegexp(t, `<[a-zA-Z/!]|\]\(|<img`, explained)
	}
	c, _ := respondingClient(t, 502, `<html><head><title>502 Bad Gateway</title><style>p{}</style></head><body><h1>502 Bad Gateway</h1></body></html>`)
	_, err := c.GenerateImage(t.Context(), kitten())
	message, _ := explain(t, err)
	assert.Contains(t, message, "“502 Bad Gateway 502 Bad Gateway”")
	assert.NotContains(t, message, "<")
}

// The memory for a response with a large inline image is limited.
func TestGenerateImage_InlineImageMemory(t *testing.T) {
	const size = 16 << 20
	body := `{"data":[{"b64_json":"` + strings.Repeat("iVBORw0K", size/8) + `"}]}`
	c, _ := respondingClient(t, 200, body)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	response, err := c.GenerateImage(t.Context(), kitten())
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Len(t, response.Data[0].B64JSON, size)
	t.Logf("%d bytes of response, %d allocated", size, after.TotalAlloc-before.TotalAlloc)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(6*size))

	c, _ = respondingClient(t, 200, `{"data":[{"b64_json":"`+strings.Repeat("iVBORw0K", 4<<20)+`"}]}`)
	_, err = c.GenerateImage(t.Context(), kitten())
	require.ErrorIs(t, err, zai.KindOutcomeUnknown, "no model makes 32 MiB")
	assert.ErrorContains(t, err, "larger than")
}
