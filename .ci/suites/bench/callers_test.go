package bench

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// BenchmarkCallers compares 64 concurrent callers of generate_image: calls per second, and
// the most memory that the server had in use. The metric previews is the share of the
// program's responses with a preview; below 1, the machine is too busy for a comparison.
func BenchmarkCallers(b *testing.B) {
	for _, transport := range []string{stdio, web} {
		b.Run(transport, func(b *testing.B) { compareCallers(b, transport) })
	}
}

func compareCallers(b *testing.B, transport string) {
	b.Helper()
	const callers, calls = 64, 2
	reference := needsSharp(b)
	file := picture(b, "PNG")
	api := upstream(b, file, 0)
	var servers []*server
	for _, p := range []program{product, reference} {
		s := start(b, p, options{transport: transport, api: api})
		s.generateFirst(b, file)
		servers = append(servers, s)
	}
	speed, peak, previews := figures{}, figures{}, figures{}
	rounds(b, func() {
		for _, s := range servers {
			began := time.Now()
			share := s.generateAtOnce(b, callers, calls, file)
			speed.add(s.name, callers*calls/time.Since(began).Seconds())
			previews.add(s.name, share)
		}
	})
	for _, s := range servers {
		s.requireSaved(b, file)
		peak.add(s.name, s.memory(b, "VmHWM"))
	}
	speed.report(b, "calls", "per-s")
	peak.report(b, "peak", "MB")
	b.ReportMetric(mean(previews[product.name]), "previews")
}

// generateAtOnce generates pictures for concurrent callers. It returns the share of
// responses with a preview.
func (s *server) generateAtOnce(b *testing.B, callers, calls int, file []byte) (previews float64) {
	b.Helper()
	var all errgroup.Group
	var count atomic.Int64
	for range callers {
		all.Go(func() error {
			for range calls {
				hasPreview, err := s.generate(file)
				if err != nil {
					return err
				}
				if hasPreview {
					count.Add(1)
				}
			}
			return nil
		})
	}
	require.NoError(b, all.Wait())
	return float64(count.Load()) / float64(callers*calls)
}

// Benchmark200Callers measures how long 200 concurrent callers take if --max-concurrent lets
// 20 requests through at a time, compared with the time that the API takes.
func Benchmark200Callers(b *testing.B) {
	for _, format := range []string{"PNG", "JPEG"} {
		b.Run(format, func(b *testing.B) {
			const callers, concurrent, delay = 200, 20, 500 * time.Millisecond
			file := picture(b, format)
			s := start(b, product, options{
				transport: web, api: upstream(b, file, delay), env: []string{"ZAI_IMAGE_MAX_CONCURRENT=20"},
			})
			var previews []float64
			for b.Loop() {
				previews = append(previews, s.generateAtOnce(b, callers, 1, file))
			}
			ideal := delay * callers / concurrent
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/ideal.Seconds(), "of-ideal")
			b.ReportMetric(s.memory(b, "VmHWM"), "peak-MB")
			b.ReportMetric(mean(previews), "previews")
			b.ReportMetric(0, "ns/op")
			s.requireSaved(b, file)
		})
	}
}
