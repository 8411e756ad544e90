package cli

import (
	"cmp"
	"path/filepath"
	"strings"
	"time"

	"zai-image-mcp/resources"
	"zai-image-mcp/resources/bucket"
	"zai-image-mcp/resources/folder"
)

// The caches of files made from images: folders beside the catalog, or in the bucket.
const (
	previewsName = ".previews"
	exportsName  = ".exports"
)

// stores are where a library keeps its files.
type stores struct {
	images, previews, exports resources.Store
	redirect                  bool // downloads are redirected to the service
}

// isBucket reports whether a location is the URL of an S3 bucket.
func isBucket(location string) bool { return strings.HasPrefix(location, "s3://") }

// storeLocation returns where the images are: the absolute path of a folder, or the URL
// of a bucket.
func (p *program) storeLocation(flag filePath) (string, error) {
	switch location := string(flag); {
	case isBucket(location):
		return location, nil
	case isURL(location):
		scheme, _, _ := strings.Cut(location, "://")
		return "", &usageError{
			"--store " + scheme + "://…: only folders and S3 buckets are supported",
			"Name a folder, or a bucket like s3://bucket/prefix?region=eu-central-1.",
		}
	}
	dir, err := flag.absolute()
	if err != nil {
		return "", &usageError{"--store: " + err.Error(), "Name an absolute folder."}
	}
	return cmp.Or(dir, filepath.Join(p.Pictures, "zai-images")), nil
}

// newStores returns the stores at a location. It does no I/O. catalog is a file, the
// URL of a database, or "" for a file in the folder.
func (p *program) newStores(location, catalog string) (stores, error) {
	if !isBucket(location) {
		return stores{
			images:   folder.New(folder.Options{Dir: location, Durable: true, Now: time.Now}),
			previews: folder.New(folder.Options{Dir: cacheFolder(location, catalog, previewsName), Now: time.Now}),
			exports:  folder.New(folder.Options{Dir: cacheFolder(location, catalog, exportsName), Now: time.Now}),
		}, nil
	}
	if catalog == "" {
		return stores{}, &usageError{
			"--store: a bucket cannot contain the catalog",
			"Name a PostgreSQL database or a SQLite file with --catalog (" + catalogVariable + "), or a file with the database's URL in " + catalogFileVariable + ".",
		}
	}
	images, err := bucket.New(bucket.Options{URL: location, Region: cmp.Or(p.Env("AWS_REGION"), p.Env("AWS_DEFAULT_REGION")), Now: time.Now})
	if err != nil {
		return stores{}, &usageError{"--store: " + err.Error(), "Write a bucket like s3://bucket/prefix?region=eu-central-1."}
	}
	return stores{images: images, previews: images.Sub(previewsName), exports: images.Sub(exportsName), redirect: images.Redirect()}, nil
}

// location returns the path of an image's file, or the address of its object.
func location(library *resources.Library, image resources.Image) string {
	return cmp.Or(library.Path(image), library.StoreName()+"/"+image.Path)
}
