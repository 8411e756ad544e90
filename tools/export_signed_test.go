package tools_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An original with Content Credentials is handed out unchanged, and the result says so.
func TestSaveAs_SignedOriginal(t *testing.T) {
	t.Parallel()
	r := newProjectRig(t, nil)
	plain, err := r.library.Read(t.Context(), r.saveDrawing(t, 64, white, "a square"))
	require.NoError(t, err)
	const header = 33 // bytes of a PNG before its second chunk
	signed := slices.Concat(plain[:header], pngChunk("caBX", "\x00\x00\x00\x10jumb manifest"), plain[header:])
	id := r.savePNG(t, signed, 64, "signed").ID
	const note = " is the unchanged original without a label, because it has Content Credentials, which any change would break."
	for tool, name := range map[string]string{"get_image": "got.png", "export_image": "exported.png"} {
		result, s := r.call(t, tool, fmt.Sprintf(`{"id":%q,"save_as":%q}`, id, name))
		require.False(t, result.IsError, text(t, result))
		assert.Contains(t, s.Notes, name+note)
		assert.Contains(t, text(t, result), name+note)
		assert.Equal(t, signed, r.read(t, name))
		_, s = r.call(t, tool, fmt.Sprintf(`{"id":%q,"save_as":"other.webp"}`, id))
		assert.NotContains(t, notesOf(s), "Content Credentials", "other pixels have no valid signature")
	}
}

// pngChunk returns a chunk of a PNG.
func pngChunk(kind, data string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(b, kind+data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}
