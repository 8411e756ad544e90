package bench

import (
	"slices"
	"testing"
	"time"
)

// roundsPerLoop is the number of rounds of a benchmark with -benchtime 1x.
const roundsPerLoop = 3

// rounds calls round again and again. Its time is not reported, because it is that of all
// servers that take part.
func rounds(b *testing.B, round func()) {
	b.Helper()
	for b.Loop() {
		for range roundsPerLoop {
			round()
		}
	}
	b.ReportMetric(0, "ns/op")
}

// figures are those of each server by round.
type figures map[string][]float64

func (f figures) add(server string, value float64) { f[server] = append(f[server], value) }

// report reports the median of the program's figures as NAME-UNIT and, as NAME-of-REFERENCE,
// the median of their ratios to those of each reference in the same round.
func (f figures) report(b *testing.B, name, unit string) {
	b.Helper()
	f.reportAs(b, product.name, name, unit)
}

// reportAs is report for another server in place of the program.
func (f figures) reportAs(b *testing.B, server, name, unit string) {
	b.Helper()
	own := f[server]
	b.ReportMetric(median(own), name+"-"+unit)
	for reference, theirs := range f {
		if reference == server {
			continue
		}
		var ratios []float64
		for round := range own {
			ratios = append(ratios, own[round]/theirs[round])
		}
		b.ReportMetric(median(ratios), name+"-of-"+reference)
	}
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func mean(list []float64) float64 {
	sum := 0.0
	for _, value := range list {
		sum += value
	}
	return sum / float64(len(list))
}

// medianOf returns the median of the milliseconds that n calls of f take.
func medianOf(n int, f func()) float64 {
	var took []float64
	for range n {
		took = append(took, milliseconds(f))
	}
	return median(took)
}

// milliseconds returns how long f takes.
func milliseconds(f func()) float64 {
	began := time.Now()
	f()
	return inMilliseconds(time.Since(began))
}

func inMilliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
