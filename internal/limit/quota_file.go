package limit

import (
	"fmt"
	"io"
	"os"
	"sync"
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

	mu      sync.Mutex
	info    os.FileInfo // of the file as it was last read
	failure error       // of the last read
	owners  map[string]rules
}

// LoadQuotaFile reads the file.
func LoadQuotaFile(path string) (*QuotaFile, error) {
	q := &QuotaFile{path: path}
	return q, q.load()
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
	info, err := os.Stat(q.path)
	if err != nil {
		return false, err
	}
	same := os.SameFile(info, q.info) && info.ModTime().Equal(q.info.ModTime()) && info.Size() == q.info.Size() && info.Mode() == q.info.Mode()
	if same && !always {
		return false, q.failure
	}
	q.failure = q.load()
	return true, q.failure
}

// maxQuotaFile is the maximum size of the file in bytes.
const maxQuotaFile = 4 << 20

func (q *QuotaFile) load() error {
	f, err := os.Open(q.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	q.info = info // also of a bad file: it is not read again until it changes
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
