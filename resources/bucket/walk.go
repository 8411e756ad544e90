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
	for after := ""; ; {
		keys, err := b.page(ctx, after)
		if err != nil {
			return resources.Listing{}, err
		}
		for _, key := range keys {
			name := strings.TrimPrefix(key, b.prefix)
			if id, ok := resources.ImageFileID(name); ok {
				found.Files[name] = id
			}
		}
		if len(keys) < pageSize {
			break
		}
		after = keys[len(keys)-1]
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

// page returns the keys after a key, at most pageSize.
func (b *Bucket) page(ctx context.Context, after string) (keys []string, err error) {
	err = b.request(ctx, 0, func(ctx context.Context, c client) error {
		keys = nil
		for o := range c.ListObjectsIter(ctx, b.address.Bucket, minio.ListObjectsOptions{Prefix: b.prefix, Recursive: true, StartAfter: after, MaxKeys: pageSize}) {
			if o.Err != nil {
				return o.Err
			}
			if keys = append(keys, o.Key); len(keys) == pageSize {
				break
			}
		}
		return ctx.Err()
	})
	return keys, err
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
