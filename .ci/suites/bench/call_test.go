package bench

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkCall compares calls of generate_image one after the other: the CPU of the
// server, the latency, and the overhead, which is the latency without that of the POST and
// the GET that a call needs.
func BenchmarkCall(b *testing.B) {
	for _, transport := range []string{stdio, web} {
		for _, format := range []string{"PNG", "JPEG"} {
			b.Run(transport+"/"+format, func(b *testing.B) { compareCalls(b, transport, format) })
		}
	}
}

func compareCalls(b *testing.B, transport, format string) {
	b.Helper()
	const calls = 10 // a round
	file := picture(b, format)
	api := upstream(b, file, 0)
	var servers []*server
	for _, p := range everyProgram(b) {
		s := start(b, p, options{transport: transport, api: api})
		for range calls {
			s.generateFirst(b, file)
		}
		servers = append(servers, s)
	}
	cpu, latency, overhead := figures{}, figures{}, figures{}
	rounds(b, func() {
		bare := medianOf(calls, func() { postAndGet(b, api) })
		for _, s := range servers {
			before := s.cpu(b)
			took := medianOf(calls, func() {
				hasPreview, err := s.generate(file)
				require.NoError(b, err)
				require.True(b, hasPreview, s.name)
			})
			cpu.add(s.name, inMilliseconds(s.cpu(b)-before)/calls)
			latency.add(s.name, took)
			overhead.add(s.name, took-bare)
		}
	})
	for _, s := range servers {
		s.requireSaved(b, file)
	}
	cpu.report(b, "cpu", "ms")
	latency.report(b, "latency", "ms")
	overhead.report(b, "overhead", "ms")
}

// postAndGet sends the requests of a call.
func postAndGet(b *testing.B, api string) {
	b.Helper()
	response, err := http.Post(api+"/images/generations", "application/json", strings.NewReader(`{}`))
	require.NoError(b, err)
	var answer struct{ Data []struct{ URL string } }
	require.NoError(b, json.NewDecoder(response.Body).Decode(&answer))
	response.Body.Close()
	image, err := http.Get(answer.Data[0].URL)
	require.NoError(b, err)
	_, err = io.Copy(io.Discard, image.Body)
	require.NoError(b, err)
	image.Body.Close()
}
