package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkStart compares the time from the start of a process to the first response to
// tools/list, and the CPU until then, with an empty library and with a large one.
func BenchmarkStart(b *testing.B) {
	for _, library := range []string{"empty", "large"} {
		b.Run(library, func(b *testing.B) {
			folder := "" // a new one for each start
			if library == "large" {
				folder = filled(b, largeLibrary(b))
			}
			compareStarts(b, map[string]func() (took, cpu float64){
				product.name: func() (took, cpu float64) { return toolsAfterStart(b, product, folder) },
				plain.name:   func() (took, cpu float64) { return toolsAfterStart(b, plain, "") },
			})
		})
	}
}

// compareStarts compares what functions by the name of a program return in milliseconds.
func compareStarts(b *testing.B, start map[string]func() (took, cpu float64)) {
	b.Helper()
	const starts = 10 // a round
	took, cpu := figures{}, figures{}
	for _, f := range start {
		f() // which reads files for the first time
	}
	rounds(b, func() {
		tookNow, cpuNow := figures{}, figures{}
		for range starts {
			for name, f := range start {
				t, c := f()
				tookNow.add(name, t)
				cpuNow.add(name, c)
			}
		}
		for name := range start {
			took.add(name, median(tookNow[name]))
			cpu.add(name, median(cpuNow[name]))
		}
	})
	took.report(b, "start", "ms")
	cpu.report(b, "cpu", "ms")
}

// toolsAfterStart starts a server, and returns how many milliseconds pass until tools/list
// is answered and how many of CPU the server has used then.
func toolsAfterStart(b *testing.B, p program, folder string) (took, cpu float64) {
	b.Helper()
	began := time.Now()
	s := start(b, p, options{transport: stdio, api: "http://127.0.0.1:1", folder: folder})
	response := s.ask(b, "tools/list", "{}")
	took = inMilliseconds(time.Since(began))
	cpu = inMilliseconds(s.cpu(b))
	require.Contains(b, string(response), `"generate_image"`)
	s.stop()
	return took, cpu
}

// idleTime is how long servers wait before their memory is measured. The program releases
// that of its start after three seconds.
const idleTime = 5 * time.Second

// BenchmarkIdleMemory compares the memory of servers that have listed tools and resources,
// and then waited: all that is resident, and the parts that are mapped from files or not.
func BenchmarkIdleMemory(b *testing.B) {
	parts := []string{"VmRSS", "RssAnon", "RssFile"}
	memory := map[string]figures{}
	for _, part := range parts {
		memory[part] = figures{}
	}
	rounds(b, func() {
		var servers []*server
		for _, p := range []program{product, plain} {
			s := start(b, p, options{transport: stdio, api: "http://127.0.0.1:1"})
			require.Contains(b, string(s.ask(b, "tools/list", "{}")), `"generate_image"`)
			require.Contains(b, string(s.ask(b, "resources/list", "{}")), `"resources":`)
			servers = append(servers, s)
		}
		time.Sleep(idleTime)
		for _, s := range servers {
			for _, part := range parts {
				memory[part].add(s.name, s.memory(b, part))
			}
			s.stop()
		}
	})
	for _, part := range parts {
		memory[part].report(b, part, "MB")
	}
}

// BenchmarkIdleSessions measures the memory of 1,000 sessions over HTTP, in all, without and
// with an open stream each.
func BenchmarkIdleSessions(b *testing.B) {
	const sessions = 1000
	for b.Loop() {
		s := start(b, product, options{transport: web, api: "http://127.0.0.1:1"})
		address := s.client.(*session).address
		var list []*session
		for range sessions {
			opened, err := newSession(address)
			require.NoError(b, err)
			b.Cleanup(opened.close)
			list = append(list, opened)
		}
		time.Sleep(time.Second)
		b.ReportMetric(s.memory(b, "VmRSS"), "VmRSS-MB")
		for _, one := range list {
			stream, err := one.listen(b.Context())
			require.NoError(b, err)
			b.Cleanup(func() { stream.Close() })
		}
		time.Sleep(time.Second)
		b.ReportMetric(s.memory(b, "VmRSS"), "VmRSS-with-streams-MB")
		s.stop()
	}
	b.ReportMetric(0, "ns/op")
}
