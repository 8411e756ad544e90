package zai_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"

	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// The example uses the sandbox in place of the service. With a real key, omit
// WithBaseURL.
func Example() {
	service := httptest.NewServer(sandbox.New(sandbox.Options{}))
	defer service.Close()
	client, err := zai.NewClient("your-api-key", zai.WithBaseURL(service.URL+sandbox.BasePath))
	if err != nil {
		panic(err)
	}
	defer client.Close()

	ctx := context.Background()
	response, err := client.GenerateImage(ctx, zai.ImageRequest{Model: zai.DefaultModel, Prompt: "a red fox", Size: "512x512"})
	if err != nil {
		panic(err)
	}
	image, err := client.Download(ctx, response.Data[0])
	if err != nil {
		panic(err)
	}
	defer image.Close()
	if _, err := io.Copy(io.Discard, image); err != nil { // reads the file
		panic(err)
	}
	fmt.Println(image.MIMEType, image.Width, image.Height)

	_, err = client.GenerateImage(ctx, zai.ImageRequest{Model: zai.DefaultModel, Prompt: "sandbox:no_balance"})
	if failure, ok := errors.AsType[*zai.Error](err); ok && errors.Is(err, zai.KindNoBalance) {
		message, _ := failure.Explain()
		fmt.Println(message)
		fmt.Println("billed:", !failure.NotAccepted)
	}
	// Output:
	// image/png 512 512
	// The Z.AI account has no balance left for images (HTTP 429, code 1113): “Insufficient balance or no resource package. Please recharge”.
	// billed: false
}
