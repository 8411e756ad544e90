package bench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkRead compares resources/read of a picture of 1.5 MB: megabytes per second, and the
// CPU of the server. The client compares the base64 with that of the picture, and decodes
// nothing.
func BenchmarkRead(b *testing.B) {
	for _, transport := range []string{stdio, web} {
		b.Run(transport, func(b *testing.B) {
			const reads = 30 // a round
			file := picture(b, "PNG")
			blob := []byte(base64.StdEncoding.EncodeToString(file))
			api := upstream(b, file, 0)
			var servers []*server
			uris := map[string]string{}
			for _, p := range []program{product, plain} {
				s := start(b, p, options{transport: transport, api: api})
				uris[s.name] = "zai-image://images/" + s.generateFirst(b, file)
				servers = append(servers, s)
			}
			read := func(s *server) {
				err := s.request("resources/read", fmt.Sprintf(`{"uri":%q}`, uris[s.name]), func(response []byte) error {
					if !bytes.Contains(response, blob) {
						return fmt.Errorf("%s: the picture is missing in %.200s", s.name, response)
					}
					return nil
				})
				require.NoError(b, err)
			}
			speed, cpu := figures{}, figures{}
			for _, s := range servers {
				for range reads {
					read(s)
				}
			}
			rounds(b, func() {
				for _, s := range servers {
					began, before := time.Now(), s.cpu(b)
					for range reads {
						read(s)
					}
					speed.add(s.name, float64(reads*len(file))/1e6/time.Since(began).Seconds())
					cpu.add(s.name, inMilliseconds(s.cpu(b)-before)/reads)
				}
			})
			speed.report(b, "read", "MB/s")
			cpu.report(b, "cpu", "ms")
		})
	}
}
