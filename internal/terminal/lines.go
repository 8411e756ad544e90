package terminal

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// lines tells progress in whole lines, not more often than every few seconds.
type lines struct {
	out   io.Writer
	doing string

	mu   sync.Mutex
	last time.Time
}

const linesEvery = 5 * time.Second

func newLines(out io.Writer, doing string) *lines {
	return &lines{out: out, doing: doing, last: time.Now()}
}

func (l *lines) step(done, total int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last) < linesEvery {
		return
	}
	l.last = time.Now()
	fmt.Fprintf(l.out, "%s: %d of %d\n", l.doing, done, total)
}
