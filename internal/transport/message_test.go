package transport_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/internal/transport"
)

// The cost of a message that is refused for its size does not grow with it.
func TestParseMessage_AllocatesNothingPerKey(t *testing.T) {
	for name, line := range map[string]string{
		"keys in params":  testrig.ManyKeys(100_000),
		"keys at the top": `{"jsonrpc":"2.0"` + strings.Repeat(`,"abc":0`, 100_000) + `}`,
		"values":          `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[0` + strings.Repeat(",0", 100_000) + `]}}`,
		"batch":           `[` + strings.Repeat(`{},`, 100_000) + `{}]`,
		"deep":            strings.Repeat(`[`, 9_000) + strings.Repeat(`]`, 9_000),
	} {
		text := []byte(line)
		require.Error(t, parse(text), name)
		assert.Less(t, testing.AllocsPerRun(5, func() { _ = parse(text) }), 20.0, name)
	}
	// Keys with escapes are read only while there are few.
	few, many := []byte(`{"jsonrpc":"2.0"`+strings.Repeat(`,"id":0`, 10_000)+`}`), []byte(`{"jsonrpc":"2.0"`+strings.Repeat(`,"id":0`, 100_000)+`}`)
	allocations := func(text []byte) float64 { return testing.AllocsPerRun(5, func() { _ = parse(text) }) }
	assert.InDelta(t, allocations(few), allocations(many), 20)
}

func parse(text []byte) error {
	_, err := transport.ParseMessage(text)
	return err
}

// The transports read id and method as encoding/json does, whatever is around
// them, and what they let through is a JSON object.
func FuzzParseMessage(f *testing.F) {
	for _, seed := range []string{
		testrig.Initialize, `{}`, `[]`, `{"id":1}`, ` {"method" : "ping" , "id" : "a\"b" } `, `{"method":"x","\u0069d":5}`, `{"a":{"id":1},"b":["id",{"id":2}],"method":"x","id":3}`,
		`{"id":1,"id":2,"method":"x"}`, `{"method":"\u0070ing","id":-1.5e3,"params":{"_meta":[]}}`, `{"x":"\\","method":"y","id":"\\\""}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.TrimSpace(text)
		m, err := transport.ParseMessage([]byte(text))
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		assert.Equal(t, string(want["id"]), string(m.ID))
		var name string
		if want["method"] != nil {
			require.NoError(t, json.Unmarshal(want["method"], &name))
		}
		assert.Equal(t, name, m.Method)
	})
}
