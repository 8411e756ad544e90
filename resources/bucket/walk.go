package bucket

import (
	"context"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"zai-image-mcp/resources"
)

const (
	pageSize = 1000
	// uploads is the folder that Walk lists incomplete uploads in.
	uploads = ".uploads"
	// staleAge is the age at which an incomplete upload counts as abandoned.
	staleAge = time.Hour
)

// Walk implements resources.Store. Incomplete uploads, which other programs may have
// left behind, are listed as temporary files.
func (b *Bucket) Walk(ctx context.Context) (resources.Listing, error) {
	found := resources.Listing{Files: map[string]string{}}
	err := b.List(ctx, "", func(f resources.StoredFile) error {
		if id, ok := resources.ImageFileID(f.Name); ok {
			found.Files[f.Name] = id
		}
		return nil
	})
	if err != nil {
		return resources.Listing{}, err
	}
	stale, err := b.staleUploads(ctx, "")
	if err != nil {
		return resources.Listing{}, err
	}
	for _, u := range stale {
		found.Temporary = append(found.Temporary, uploads+"/"+strings.TrimPrefix(u.Key, b.prefix))
	}
	return found, nil
}

// page returns the objects whose names begin with a prefix and whose keys follow a key, at
// most pageSize.
func (b *Bucket) page(ctx context.Context, prefix, after string) (objects []minio.ObjectInfo, err error) {
	o := minio.ListObjectsOptions{Prefix: b.key(prefix), Recursive: true, StartAfter: after, MaxKeys: pageSize}
	err = b.request(ctx, 0, func(ctx context.Context, c client) error {
		objects = nil
		for object := range c.ListObjectsIter(ctx, b.address.Bucket, o) {
			if object.Err != nil {
				return object.Err
			}
			if objects = append(objects, object); len(objects) == pageSize {
				break
			}
		}
		return ctx.Err()
	})
	return objects, err
}

// staleUploads returns the incomplete uploads of objects whose names begin with name.
func (b *Bucket) staleUploads(ctx context.Context, name string) (stale []minio.ObjectMultipartInfo, err error) {
	for key, id := "", ""; ; {
		var page minio.ListMultipartUploadsResult
		err := b.request(ctx, 0, func(ctx context.Context, c client) (err error) {
			page, err = c.ListMultipartUploads(ctx, b.address.Bucket, b.key(name), key, id, "", pageSize)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, u := range page.Uploads {
			if b.now().Sub(u.Initiated) > staleAge {
				stale = append(stale, u)
			}
		}
		if !page.IsTruncated || page.NextKeyMarker == "" {
			return stale, nil
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

// abort ends the stale uploads of an object.
func (b *Bucket) abort(ctx context.Context, name string) error {
	stale, err := b.staleUploads(ctx, name)
	if err != nil {
		return err
	}
	for _, u := range stale {
		if u.Key != b.key(name) {
			continue
		}
		if err := b.request(ctx, 0, func(ctx context.Context, c client) error {
			return c.AbortMultipartUpload(ctx, b.address.Bucket, u.Key, u.UploadID)
		}); err != nil {
			return err
		}
	}
	return nil
}
