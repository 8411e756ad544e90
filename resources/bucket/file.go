package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"zai-image-mcp/resources"
)

// Stat implements resources.Store. SHA256 is set if the service reports it.
func (b *Bucket) Stat(ctx context.Context, name string) (resources.FileInfo, error) {
	o, err := b.stat(ctx, name)
	return o.FileInfo, err
}

// stat describes an object. It reports an object as missing only if the bucket exists.
func (b *Bucket) stat(ctx context.Context, name string) (object, error) {
	var o object
	err := b.request(ctx, 0, func(ctx context.Context, c client) (err error) {
		o, err = c.stat(ctx, b.address.Bucket, b.key(name))
		return err
	})
	if c, ok := errors.AsType[*cause](err); ok && c.problem == noObject {
		if err := b.Present(ctx); err != nil {
			return object{}, err
		}
		return object{}, resources.MissingFile(name)
	}
	return o, err
}

// blockSize is how much of an object is read at once. Most images are smaller, so that
// hashing and then sending one takes a single request.
const blockSize = 4 << 20

// Open implements resources.Store. The content is read when it is needed, in blocks;
// ctx limits all reads. Reading fails with resources.ErrCorrupt if the object is
// replaced meanwhile.
func (b *Bucket) Open(ctx context.Context, name string) (resources.File, error) {
	o, err := b.stat(ctx, name)
	if err != nil {
		return nil, err
	}
	read := func(block []byte, offset int64) error {
		err := b.request(ctx, int64(len(block)), func(ctx context.Context, c client) error {
			return c.get(ctx, b.address.Bucket, b.key(name), o.etag, block, offset)
		})
		switch c, _ := errors.AsType[*cause](err); {
		case c != nil && c.problem == noObject:
			return resources.MissingFile(name)
		case c != nil && c.problem == conditionFailed:
			return fmt.Errorf("%w: %s was replaced while it was read", resources.ErrCorrupt, resources.RedactName(name))
		}
		return err
	}
	return &file{info: o.FileInfo, read: read}, nil
}

// file reads an object. It holds the block that was read last.
type file struct {
	info   resources.FileInfo
	read   func(block []byte, offset int64) error
	offset int64 // of the next Read
	block  []byte
	start  int64 // offset of block
	closed bool
}

// Info implements resources.File.
func (f *file) Info() (resources.FileInfo, error) { return f.info, nil }

// Read implements io.Reader.
func (f *file) Read(b []byte) (int, error) {
	switch {
	case f.closed:
		return 0, fs.ErrClosed
	case len(b) == 0:
		return 0, nil
	case f.offset >= f.info.Size:
		return 0, io.EOF
	}
	if f.offset < f.start || f.offset >= f.start+int64(len(f.block)) {
		start := f.offset
		if start < blockSize {
			start = 0 // a decoder may seek back to the header
		}
		block := make([]byte, min(blockSize, f.info.Size-start))
		if err := f.read(block, start); err != nil {
			return 0, err
		}
		f.block, f.start = block, start
	}
	n := copy(b, f.block[f.offset-f.start:])
	f.offset += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += f.info.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning of the file")
	}
	f.offset = offset
	return offset, nil
}

// Close implements io.Closer.
func (f *file) Close() error {
	f.block, f.closed = nil, true
	return nil
}
