package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAge(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90d": 90 * 24 * time.Hour, "0d": 0, "1D": 24 * time.Hour, "12h": 12 * time.Hour, "1h30m": 90 * time.Minute, "0s": 0, "100000d": 100_000 * 24 * time.Hour,
	} {
		var a age
		require.NoError(t, a.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, time.Duration(a), text)
	}
	for _, text := range []string{"", "d", "90", "-1d", "-1h", "1.5d", "100001d", "9999999999999999999d", "month"} {
		var a age
		require.Error(t, a.UnmarshalText([]byte(text)), text)
	}
}
