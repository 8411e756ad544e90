package bucket

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"mime"
	"path"

	"github.com/minio/minio-go/v7"

	"zai-image-mcp/resources"
)

// client sends the requests. Each method is one request.
type client struct{ *minio.Core }

// remove deletes an object. It succeeds if there is none.
func (c client) remove(ctx context.Context, bucket, key string) error {
	return c.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{})
}

// exists fails if there is no such bucket.
func (c client) exists(ctx context.Context, bucket string) error {
	ok, err := c.BucketExists(ctx, bucket)
	if err == nil && !ok {
		return &cause{problem: noBucket}
	}
	return err
}

// put writes an object. The service compares the content with its SHA-256. If fresh is
// set, it fails with conditionFailed if the object exists.
func (c client) put(ctx context.Context, bucket, key string, content io.Reader, size int64, sha [32]byte, fresh bool) error {
	sum := base64.StdEncoding.EncodeToString(sha[:])
	o := minio.PutObjectOptions{
		ContentType:  mime.TypeByExtension(path.Ext(key)),
		UserMetadata: map[string]string{"X-Amz-Checksum-Sha256": sum}, DisableContentSha256: true,
	}
	if fresh {
		o.SetMatchETagExcept("*")
	}
	info, err := c.PutObject(ctx, bucket, key, content, size, "", hex.EncodeToString(sha[:]), o)
	if err == nil && info.ChecksumSHA256 != "" && info.ChecksumSHA256 != sum {
		return &cause{problem: altered}
	}
	return err
}

// copy copies an object within the service.
func (c client) copy(ctx context.Context, bucket, from, to string) error {
	_, err := c.CopyObject(ctx, bucket, from, bucket, to, nil, minio.CopySrcOptions{}, minio.PutObjectOptions{})
	return err
}

// stat describes an object.
func (c client) stat(ctx context.Context, bucket, key string) (object, error) {
	info, err := c.StatObject(ctx, bucket, key, minio.StatObjectOptions{Checksum: true})
	if err != nil {
		return object{}, err
	}
	o := object{etag: info.ETag, FileInfo: resources.FileInfo{Size: info.Size, Version: info.ETag + " " + info.VersionID}}
	if sum, err := base64.StdEncoding.DecodeString(info.ChecksumSHA256); err == nil && len(sum) == 32 {
		o.SHA256 = hex.EncodeToString(sum)
	}
	return o, nil
}

// object describes an object.
type object struct {
	resources.FileInfo
	etag string
}

// get reads a range of an object into b, unless the object changed.
func (c client) get(ctx context.Context, bucket, key, etag string, b []byte, offset int64) error {
	var o minio.GetObjectOptions
	if err := o.SetRange(offset, offset+int64(len(b))-1); err != nil {
		return err
	}
	if err := o.SetMatchETag(etag); err != nil {
		return err
	}
	body, _, _, err := c.GetObject(ctx, bucket, key, o)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.ReadFull(body, b)
	return err
}
