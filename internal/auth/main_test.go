package auth_test

import (
	"testing"

	"zai-image-mcp/internal/testrig"
)

func TestMain(m *testing.M) { testrig.Main(m) }
