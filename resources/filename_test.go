package resources_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// File names contain the words of the prompt in a safe form.
func TestSave_FileName(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	for prompt, want := range map[string]string{
		"A cute, little kitten!":    "a-cute-little-kitten",
		"一只可爱的小猫坐在窗台上":              "一只可爱的小猫坐在窗台上",
		"../../etc/passwd":          "etc-passwd",
		"???":                       "image",
		"CON: aux.txt":              "con-aux-txt",
		"a\x00b\nc":                 "a-b-c",
		strings.Repeat("word ", 30): "word-word-word-word-word-word-word-word-word-wo",
		"--- dashes --- around ---": "dashes-around",
		"\xff\xfe broken utf-8":     "broken-utf-8",
		"😀 emoji only at the start": "emoji-only-at-the-start",
		"❤️":                        "image", // a letter-like symbol and an invisible selector
		"❤️ love":                   "love",
		"हिन्दी में एक":             "हिन्दी-में-एक",
		"தமிழ் மொழி":                "தமிழ்-மொழி",
		"cafe\u0301 a\ufe0f":        "cafe\u0301-a",
	} {
		i := save(t, l, prompt, []byte("x"))
		name := i.Path[len("2006/01/02/"):]
		assert.Equal(t, want+"-"+i.ID+".png", name)
	}
}
