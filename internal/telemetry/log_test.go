package telemetry_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/internal/telemetry"
)

func TestNewLogger_HidesTheKey(t *testing.T) {
	var out bytes.Buffer
	for _, asJSON := range []bool{true, false} {
		log := telemetry.NewLogger(&out, slog.LevelDebug, asJSON, "sk-secret", nil)
		log.Info("with sk-secret in it", "a", "sk-secret", "b", fmt.Errorf("bad key sk-secret"), "c", []string{"sk-secret"}, slog.Group("g", "d", "x sk-secret y"))
	}
	assert.NotContains(t, out.String(), "secret")
	assert.Contains(t, out.String(), "***")
}
