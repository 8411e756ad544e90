package sandbox_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"zai-image-mcp/zai/sandbox"
)

// A fault in a prompt affects only requests with that prompt.
func Example() {
	service := sandbox.New(sandbox.Options{})
	server := httptest.NewServer(service)
	defer server.Close()

	for _, prompt := range []string{"a red fox", "a red fox sandbox:content_blocked", "a red fox sandbox:hangup"} {
		body := fmt.Sprintf(`{"model":"cogview-4-250304","prompt":%q}`, prompt)
		request, err := http.NewRequest(http.MethodPost, server.URL+sandbox.BasePath+"/images/generations", strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		request.Header.Set("Authorization", "Bearer any-key")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			fmt.Println("no response")
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		fmt.Println(response.Status)
	}
	fmt.Println(service.Posts(), "requests,", service.Accepted(), "billed")
	// Output:
	// 200 OK
	// 400 Bad Request
	// no response
	// 3 requests, 2 billed
}
