package limit

import (
	"fmt"
	"io"
	"os"
	"sync"

	"zai-image-mcp/internal/textfile"
)

// everybody is the name of the line for owners who have none.
const everybody = "*"

// QuotaFile says what each owner may spend, by a file of lines "owner rules". The owner
// is a name as images spend prints it, or * for everybody without a line. The rules are
// budget=DOLLARS and pictures=NUMBER, both per UTC day and 0 for no limit; or the word
// read-only for an owner who may not generate images, or refuse for one who may not use
// the server. The figures of * also hold where a line has none. Empty lines and what
// follows a # are ignored.
type QuotaFile struct {
	path string

	mu     sync.Mutex
	source *textfile.Source
	owners map[string]rules
}

// LoadQuotaFile reads the file.
func LoadQuotaFile(path string) (*QuotaFile, error) {
	q := &QuotaFile{path: path}
	q.source = textfile.NewSource(path, q.read)
	return q, q.source.Load()
}

// Of returns what an owner may do. budgetUSD is the budget if the file has none for the
// owner.
func (q *QuotaFile) Of(owner string, budgetUSD float64) Allowance {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.owners[everybody]
	own, listed := q.owners[owner]
	if !listed {
		return all.allowance(budgetUSD)
	}
	return own.fillUp(all).allowance(budgetUSD)
}

// Refused reports whether an owner may not use the server.
func (q *QuotaFile) Refused(owner string) bool { return q.Of(owner, 0).Refused }

// Reload reads the file if it was changed, or always. After an error the earlier rules
// stay in force.
func (q *QuotaFile) Reload(always bool) (changed bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.source.Reload(always)
}

// maxQuotaFile is the maximum size of the file in bytes.
const maxQuotaFile = 4 << 20

func (q *QuotaFile) read(f *os.File, _ os.FileInfo) error {
	raw, err := io.ReadAll(io.LimitReader(f, maxQuotaFile+1))
	if err != nil {
		return err
	}
	owners, err := parseQuotas(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", q.path, err)
	}
	q.owners = owners
	return nil
}
