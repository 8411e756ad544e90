package limit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/limit"
)

// flagBudget is the budget of owners for whom the file has none.
const flagBudget = 5

func writeQuotas(t testing.TB, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "quotas")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const sampleQuotas = `# owner                   rules
*                         budget=1 pictures=50      # everybody without a line; fills up other lines
alice                     budget=7.50
id.example.com/00u1abcd   pictures=500
bob                       read-only                 # sees, makes nothing
id.example.com/leaver     refuse

carol budget=0 pictures=0
id.example.com:8443/realms/team/auth0|ü=1 pictures=2
`

func TestQuotaFile_Of(t *testing.T) {
	for _, encoding := range []string{sampleQuotas, "\ufeff" + strings.ReplaceAll(sampleQuotas, "\n", "\r\n"), strings.ReplaceAll(sampleQuotas, "\n", "\r")} {
		q, err := limit.LoadQuotaFile(writeQuotas(t, encoding))
		require.NoError(t, err)
		for owner, want := range map[string]limit.Allowance{
			"dave":                    {BudgetUSD: 1, Images: 50},
			"Alice":                   {BudgetUSD: 1, Images: 50},
			"alice":                   {BudgetUSD: 7.5, Images: 50},
			"id.example.com/00u1abcd": {BudgetUSD: 1, Images: 500},
			"bob":                     {BudgetUSD: 1, Images: 50, ReadOnly: true},
			"id.example.com/leaver":   {BudgetUSD: 1, Images: 50, Refused: true},
			"carol":                   {},
			"id.example.com:8443/realms/team/auth0|ü=1": {BudgetUSD: 1, Images: 2},
		} {
			assert.Equal(t, want, q.Of(owner, flagBudget), owner)
			assert.Equal(t, want.Refused, q.Refused(owner), owner)
		}
	}
}

// The words of * do not apply to owners who have a line, and the general budget applies
// where the file has none.
func TestQuotaFile_Everybody(t *testing.T) {
	q, err := limit.LoadQuotaFile(writeQuotas(t, "* refuse\nalice pictures=3\n"))
	require.NoError(t, err)
	assert.Equal(t, limit.Allowance{BudgetUSD: flagBudget, Images: 3}, q.Of("alice", flagBudget))
	assert.True(t, q.Refused("bob"))
	q, err = limit.LoadQuotaFile(writeQuotas(t, "alice budget=2\n* read-only\n"))
	require.NoError(t, err)
	assert.Equal(t, limit.Allowance{BudgetUSD: 2}, q.Of("alice", flagBudget))
	assert.Equal(t, limit.Allowance{BudgetUSD: flagBudget, ReadOnly: true}, q.Of("bob", flagBudget))
	q, err = limit.LoadQuotaFile(writeQuotas(t, "alice budget=2\n"))
	require.NoError(t, err)
	assert.Equal(t, limit.Allowance{BudgetUSD: flagBudget}, q.Of("bob", flagBudget))
}

func TestQuotaFile_Mistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "there is no line in it",
		"\n# nothing\n":                          "there is no line in it",
		"alice budget=1\nbob\n":                  "line 2: bob has no rule",
		"alice # budget=1":                       "line 1: alice has no rule",
		"\n\nalice budget":                       "line 3: budget is there twice, or its value is missing",
		"alice budget=1 budget=2":                "line 1: budget is there twice",
		"alice read-only read-only":              "line 1: read-only is there twice",
		"alice budget=":                          "line 1: budget=: not an amount of dollars",
		"alice budget=-1":                        "not an amount of dollars",
		"alice budget=1,50":                      "not an amount of dollars",
		"alice budget=$1":                        "not an amount of dollars",
		"alice budget=1e3":                       "not an amount of dollars",
		"alice budget=NaN":                       "not an amount of dollars",
		"alice budget=Inf":                       "not an amount of dollars",
		"alice budget=0.0000001":                 "not an amount of dollars",
		"alice budget=10000000000":               "not an amount of dollars",
		"alice budget = 1":                       "line 1: budget is there twice, or its value is missing",
		"alice pictures=1.5":                     "line 1: pictures=1.5: not a whole number",
		"alice pictures=-1":                      "not a whole number",
		"alice pictures=+1":                      "not a whole number",
		"alice pictures=99999999999":             "not a whole number",
		"alice images=5":                         `line 1: "images=5" is not a rule`,
		"alice readonly":                         `"readonly" is not a rule`,
		"alice refuse=yes":                       `"refuse=yes" is not a rule`,
		"alice Budget=5":                         `"Budget=5" is not a rule`,
		"alice read-only budget=5":               "line 1: read-only and refuse stand alone",
		"alice refuse read-only":                 "line 1: read-only and refuse stand alone",
		"alice budget=1\n\nalice refuse":         "line 3: alice already has line 1",
		"budget=5 pictures=1":                    `line 1: "budget=5" is not the name of an owner`,
		"alice: budget=5":                        `"alice:" is not the name of an owner`,
		"https://id.example.com/x refuse":        `"https://id.example.com/x" is an address: write the issuer without https://`,
		"/x refuse":                              "is not the name of an owner",
		"id.example.com/ refuse":                 "is not the name of an owner",
		"id.example.com/\x01 refuse":             "is not the name of an owner",
		"id.example.com/\xff refuse":             "is not the name of an owner",
		"al*ce refuse":                           "is not the name of an owner",
		strings.Repeat("# too large\n", 400_000): "larger than 4 MiB",
	} {
		path := writeQuotas(t, text)
		_, err := limit.LoadQuotaFile(path)
		require.ErrorContains(t, err, want, "%.100q", text)
		require.ErrorContains(t, err, path)
	}
	_, err := limit.LoadQuotaFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// The file is read again when it changes, and after an error the earlier rules stay in
// force.
func TestQuotaFile_Reload(t *testing.T) {
	path := writeQuotas(t, "alice pictures=1\n")
	q, err := limit.LoadQuotaFile(path)
	require.NoError(t, err)
	var age time.Duration
	replace := func(text string) {
		age += time.Hour // file systems with coarse times would hide a change
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
	}
	images := func() int { return q.Of("alice", flagBudget).Images }

	changed, err := q.Reload(false)
	require.NoError(t, err)
	assert.False(t, changed)
	replace("alice pictures=2\n")
	assert.Equal(t, 1, images(), "not read yet")
	changed, err = q.Reload(false)
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Equal(t, 2, images())
	changed, err = q.Reload(true)
	require.NoError(t, err)
	assert.True(t, changed, "read although it is the same")

	replace("alice picture=3\n")
	changed, bad := q.Reload(false)
	require.ErrorContains(t, bad, "line 1")
	assert.True(t, changed)
	assert.Equal(t, 2, images())
	changed, err = q.Reload(false)
	assert.Equal(t, bad, err, "the error stays until the file changes")
	assert.False(t, changed)
	require.NoError(t, os.Remove(path))
	_, err = q.Reload(false)
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Equal(t, 2, images())
	replace("alice pictures=4\n")
	_, err = q.Reload(false)
	require.NoError(t, err)
	assert.Equal(t, 4, images())
}

// FuzzQuotaFile checks that a file is refused with the number of a line, or has rules
// that make sense.
func FuzzQuotaFile(f *testing.F) {
	f.Add(sampleQuotas, "alice")
	f.Add("* refuse\nid.example.com/x budget=1\n", "id.example.com/x")
	f.Add("a budget=0.1 pictures=3 # x\r\nb read-only", "b")
	path := filepath.Join(f.TempDir(), "quotas")
	f.Fuzz(func(t *testing.T, text, owner string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		q, err := limit.LoadQuotaFile(path)
		if err != nil {
			assert.Regexp(t, `line \d+: |there is no line in it|larger than`, err.Error())
			return
		}
		a := q.Of(owner, flagBudget)
		assert.True(t, a.BudgetUSD >= 0 && a.BudgetUSD < 1e9 && a.Images >= 0 && a.Images < 1e9, "%+v", a)
		assert.False(t, a.ReadOnly && a.Refused)
	})
}
