package zai_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

func TestModel_CheckSize(t *testing.T) {
	tests := []struct {
		model, size string
		refused     string // part of the message, "" when accepted
	}{
		{"cogview-4-250304", "1024x1024", ""},
		{"cogview-4-250304", "512x512", ""},
		{"cogview-4-250304", "2048x1024", ""},
		{"cogview-4-250304", "1440x1440", ""},
		{"cogview-4-250304", "1456x1456", "more than the 2097152"},
		{"cogview-4-250304", "2048x2048", "more than the 2097152"},
		{"cogview-4-250304", "1000x1000", "divisible by 16"},
		{"cogview-4-250304", "496x512", "512 to 2048"},
		{"cogview-4-250304", "2064x512", "512 to 2048"},
		{"cogview-4-250304", "big", "not WIDTHxHEIGHT"},
		{"cogview-4-250304", "1024x1024x3", "not WIDTHxHEIGHT"},
		{"cogview-4-250304", "-512x512", "not WIDTHxHEIGHT"},
		{"cogview-4-250304", "99999x99999", "512 to 2048"},
		{"cogview-4-250304", "0x0", "not WIDTHxHEIGHT"},
		{"glm-image", "1728x960", ""}, // recommended, though a side is under 1024
		{"glm-image", "2048x2048", ""},
		{"glm-image", "1952x832", ""},
		{"glm-image", "1040x1040", "divisible by 32"},
		{"glm-image", "480x1024", "512 to 2048"},
	}
	for _, tt := range tests {
		t.Run(tt.model+" "+tt.size, func(t *testing.T) {
			model, err := zai.FindModel(zai.Global, tt.model)
			require.NoError(t, err)
			err = model.CheckSize(tt.size)
			if tt.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, zai.KindInvalidArgument)
			require.ErrorContains(t, err, tt.refused)
			var e *zai.Error
			require.ErrorAs(t, err, &e)
			assert.Contains(t, e.Hint, model.DefaultSize, "the hint lists the allowed sizes")
		})
	}
}

func TestModels_AcceptTheirDefaultsAndSizes(t *testing.T) {
	for _, region := range []zai.Region{zai.Global, zai.China} {
		models := zai.Models(region)
		require.NotEmpty(t, models)
		assert.Equal(t, zai.DefaultModel, models[0].ID)
		for _, m := range models {
			require.NoError(t, m.CheckSize(m.DefaultSize))
			assert.Equal(t, m.DefaultSize, m.Sizes[0].Size)
			for _, size := range m.SizeNames() {
				require.NoError(t, m.CheckSize(size), "%s %s", m.ID, size)
			}
			require.NoError(t, m.CheckQuality(m.DefaultQuality()))
			assert.Positive(t, m.TypicalDuration(m.DefaultQuality()), m.ID)
		}
	}
	assert.Len(t, zai.Models(zai.Global), 2)
	assert.Len(t, zai.Models(zai.China), 4)
}

func TestFindModel(t *testing.T) {
	m, err := zai.FindModel(zai.Global, "cogView-4-250304")
	require.NoError(t, err)
	assert.Equal(t, "cogview-4-250304", m.ID, "the spelling of the vendor's examples")

	_, err = zai.FindModel(zai.Global, "dall-e-3")
	require.ErrorIs(t, err, zai.KindInvalidArgument)
	message, hint := explain(t, err)
	assert.Contains(t, message, "dall-e-3")
	assert.Contains(t, hint, "glm-image")

	_, err = zai.FindModel(zai.Global, "cogview-3-flash")
	require.ErrorIs(t, err, zai.KindInvalidArgument)
	message, _ = explain(t, err)
	assert.Contains(t, message, "only in region china")
}

func TestNormalizeSize(t *testing.T) {
	for _, size := range []string{"1024x768", "1024×768", "1024X768", "1024*768", " 1024 x 768 "} {
		assert.Equal(t, "1024x768", zai.NormalizeSize(size))
	}
}

func TestModel_CheckQuality(t *testing.T) {
	for _, tt := range []struct {
		model, quality string
		ok             bool
	}{
		{"cogview-4-250304", "standard", true},
		{"cogview-4-250304", "hd", true},
		{"cogview-4-250304", "ultra", false},
		{"glm-image", "hd", true},
		{"glm-image", "standard", false},
		{"cogview-3-flash", "standard", true},
		{"cogview-3-flash", "hd", false},
	} {
		model, err := zai.FindModel(zai.China, tt.model)
		require.NoError(t, err)
		err = model.CheckQuality(tt.quality)
		if tt.ok {
			require.NoError(t, err, "%+v", tt)
		} else {
			require.ErrorIs(t, err, zai.KindInvalidArgument, "%+v", tt)
		}
	}
}

func explain(t *testing.T, err error) (message, hint string) {
	t.Helper()
	var e *zai.Error
	require.ErrorAs(t, err, &e)
	return e.Explain()
}
