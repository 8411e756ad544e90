package resources_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/folder"
	"zai-image-mcp/resources/sqlite"
)

// An image is reserved before it is paid for, saved after it was downloaded, and
// listed from then on.
func ExampleLibrary() {
	dir, err := os.MkdirTemp("", "library")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	log := slog.New(slog.DiscardHandler)
	library := resources.New(resources.Options{
		Store:    folder.New(folder.Options{Dir: dir, Durable: true, Now: time.Now}),
		Previews: folder.New(folder.Options{Dir: filepath.Join(dir, ".previews"), Now: time.Now}),
		Catalog:  sqlite.New(sqlite.Options{Path: filepath.Join(dir, ".catalog.db"), Now: time.Now, Log: log}),
		Now:      time.Now, Random: rand.Reader, Log: log,
	})
	defer library.Close()

	ctx := context.Background()
	if err := library.Prepare(ctx, time.Now()); err != nil { // it could not be saved
		fmt.Println(err)
		return
	}
	id, err := library.NewID()
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome, err := library.Catalog().Reserve(ctx, resources.Reservation{
		Images: []resources.Image{{ID: id, Owner: "local", Model: "glm-image", Prompt: "A fox in the snow", CostMicroUSD: 15_000}},
		Count:  1,
		Budget: 5_000_000, // 5 dollars a day
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	var file bytes.Buffer // what the API would return
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 64, 48))); err != nil {
		fmt.Println(err)
		return
	}
	content := resources.Content{Reader: &file, MIMEType: "image/png", Extension: ".png", Width: 64, Height: 48}
	if _, err := library.Save(ctx, outcome.New[0], content, ""); err != nil {
		fmt.Println(err)
		return
	}

	list, _, err := library.List(ctx, "local", "snow fox", "", 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, i := range list {
		fmt.Printf("%s: %q, %dx%d, $%.3f\n", i.State, i.Prompt, i.Width, i.Height, i.CostUSD())
	}
	spent, err := library.SpentToday(ctx, "local", false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("spent today: $%.3f\n", spent)
	// Output:
	// saved: "A fox in the snow", 64x48, $0.015
	// spent today: $0.015
}
