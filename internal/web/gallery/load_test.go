package gallery_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// interval is the time between two images in large libraries.
const interval = 5 * time.Minute

func BenchmarkGallery(b *testing.B) {
	for _, images := range []int{100, 100_000} {
		r := newRig(b, nil)
		r.now = noon
		ids := fill(b, r.library, images, noon, interval, nil)
		for name, target := range map[string]string{
			"first": "/gallery/", "day": "/gallery/?date=" + noon.Add(-interval*time.Duration(images)/2).Format(time.DateOnly), "common word": "/gallery/?q=fox",
			"absent word": "/gallery/?q=xylophone", "image": "/gallery/" + ids[images/2], "spending": "/gallery/spending",
		} {
			b.Run(fmt.Sprintf("%d/%s", images, name), func(b *testing.B) {
				for b.Loop() {
					r.get(b, target)
				}
			})
		}
	}
}

// With 100,000 images, the first page takes about as long as with 100, and a word that no
// prompt contains is not found at once.
func TestLoad_LargeLibrary(t *testing.T) {
	if os.Getenv("ZAI_TEST_LOAD") == "" {
		t.Skip("NOT TESTED: this loads the machine and measures time; set ZAI_TEST_LOAD=1")
	}
	small, large := newRig(t, nil), newRig(t, nil)
	fill(t, small.library, 100, noon, interval, nil)
	fill(t, large.library, 100_000, noon, interval, nil)
	const rounds = 200
	var first [2][]time.Duration
	for range rounds { // in turn, so that other load affects both
		for n, r := range []*rig{small, large} {
			began := time.Now()
			r.get(t, "/gallery/")
			first[n] = append(first[n], time.Since(began))
		}
	}
	of100, of100k := median(first[0]), median(first[1])
	t.Logf("first page: %s of 100 images, %s of 100,000", of100, of100k)
	assert.Less(t, of100k, of100*3/2)
	var absent []time.Duration
	for n := range 20 {
		began := time.Now()
		answer := large.do(t, http.MethodGet, fmt.Sprintf("/gallery/?q=xylophone%d", n), "")
		absent = append(absent, time.Since(began))
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
	t.Logf("absent word: %s", median(absent))
	assert.Less(t, median(absent), 250*time.Millisecond)
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}
