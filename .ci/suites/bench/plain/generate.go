package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	_ "image/png" // a format of pictures
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"golang.org/x/image/draw"
)

// previewSide is the longer side of a preview.
const previewSide = 512

// generator implements the tool generate_image. It registers each picture as a resource.
type generator struct {
	server *server.MCPServer
	client *http.Client
	api    string // URL
	key    string
	folder string
}

// picture describes a picture in structured content.
type picture struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	URI      string `json:"uri"`
	Path     string `json:"path"`
	MIMEType string `json:"mime_type"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
	Bytes    int    `json:"bytes"`
	Prompt   string `json:"prompt"`
}

func (g generator) generate(ctx context.Context, call mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	prompt, err := call.RequireString("prompt")
	if err != nil {
		return nil, err
	}
	file, err := g.request(ctx, prompt)
	if err != nil {
		return nil, err
	}
	img, format, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	small, err := preview(img)
	if err != nil {
		return nil, err
	}
	id := rand.Text()
	p := picture{
		ID: id, Status: "saved", URI: "zai-image://images/" + id, Path: filepath.Join(g.folder, id+"."+format), MIMEType: "image/" + format,
		Width: img.Bounds().Dx(), Height: img.Bounds().Dy(), Bytes: len(file), Prompt: prompt,
	}
	if err := os.WriteFile(p.Path, file, 0o600); err != nil {
		return nil, err
	}
	g.server.AddResource(mcp.NewResource(p.URI, prompt, mcp.WithMIMEType(p.MIMEType)), p.read)
	return &mcp.CallToolResult{
		Content: []mcp.Content{
			mcp.NewTextContent("Saved " + p.Path),
			mcp.NewImageContent(base64.StdEncoding.EncodeToString(small), "image/jpeg"),
			mcp.NewResourceLink(p.URI, prompt, "", p.MIMEType),
		},
		StructuredContent: map[string]any{"images": []picture{p}},
	}, nil
}

// request requests a picture and downloads it.
func (g generator) request(ctx context.Context, prompt string) ([]byte, error) {
	body, err := json.Marshal(map[string]string{"model": "cogview-4-250304", "prompt": prompt, "size": "1024x1024"})
	if err != nil {
		return nil, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, g.api+"/images/generations", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Authorization", "Bearer "+g.key)
	post.Header.Set("Content-Type", "application/json")
	text, err := g.do(post)
	if err != nil {
		return nil, err
	}
	var answer struct{ Data []struct{ URL string } }
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	if len(answer.Data) == 0 {
		return nil, fmt.Errorf("no picture: %s", text)
	}
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, answer.Data[0].URL, http.NoBody)
	if err != nil {
		return nil, err
	}
	return g.do(get)
}

func (g generator) do(r *http.Request) ([]byte, error) {
	response, err := g.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", r.URL, response.Status)
	}
	return io.ReadAll(response.Body)
}

// preview returns a JPEG of at most previewSide pixels a side.
func preview(img image.Image) ([]byte, error) {
	width, height := img.Bounds().Dx(), img.Bounds().Dy()
	if longer := max(width, height); longer > previewSide {
		width, height = max(1, width*previewSide/longer), max(1, height*previewSide/longer)
	}
	small := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.BiLinear.Scale(small, small.Rect, img, img.Bounds(), draw.Src, nil)
	var b bytes.Buffer
	err := jpeg.Encode(&b, small, &jpeg.Options{Quality: 80})
	return b.Bytes(), err
}

// read answers resources/read.
func (p picture) read(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	file, err := os.ReadFile(p.Path)
	if err != nil {
		return nil, err
	}
	blob := base64.StdEncoding.EncodeToString(file)
	return []mcp.ResourceContents{mcp.BlobResourceContents{URI: p.URI, MIMEType: p.MIMEType, Blob: blob}}, nil
}
