package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/schollz/progressbar/v3"

	"zai-image-mcp/internal/plaintext"
)

// callProgress shows the progress notifications of a tool call, as a bar on a
// terminal and otherwise as lines.
type callProgress struct {
	out io.Writer
	bar *progressbar.ProgressBar // nil if out is not a terminal

	mu    sync.Mutex
	ended bool
}

func newCallProgress(out io.Writer) *callProgress {
	p := &callProgress{out: out}
	if isTerminal(out) {
		p.bar = progressbar.NewOptions(100, progressbar.OptionSetWriter(out), progressbar.OptionSetWidth(24),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetDescription("queued"))
	}
	return p
}

// handle shows a notification of the session. Notifications arrive on their own
// goroutine. handle drops those after end, so that nothing is printed after the
// result.
func (p *callProgress) handle(n mcp.JSONRPCNotification) {
	if n.Method != string(mcp.MethodNotificationProgress) {
		return
	}
	message, _ := n.Params.AdditionalFields["message"].(string)
	message = plaintext.Line(message, 0)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	if p.bar == nil {
		fmt.Fprintln(p.out, message)
		return
	}
	done, _ := n.Params.AdditionalFields["progress"].(float64)
	total, _ := n.Params.AdditionalFields["total"].(float64)
	p.bar.Describe(message)
	_ = p.bar.Set(int(100 * done / max(total, 1)))
}

func (p *callProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended = true; p.bar != nil {
		_ = p.bar.Finish()
	}
}

// showProgress shows the progress of a long operation, as a bar on a terminal and
// otherwise as a line every few seconds.
func showProgress(out io.Writer, doing string) (step func(done, total int), end func()) {
	if !isTerminal(out) {
		l := &progressLines{out: out, doing: doing, last: time.Now()}
		return l.step, func() {}
	}
	bar := progressbar.NewOptions(1, progressbar.OptionSetWriter(out), progressbar.OptionSetWidth(24), progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription(doing))
	return func(done, total int) {
		bar.ChangeMax(max(total, 1))
		_ = bar.Set(done) // an error in drawing the bar must not stop the operation
	}, func() { _ = bar.Finish() }
}

// progressLines prints progress in lines, at most one per linesEvery.
type progressLines struct {
	out   io.Writer
	doing string

	mu   sync.Mutex
	last time.Time
}

const linesEvery = 5 * time.Second

func (l *progressLines) step(done, total int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last) < linesEvery {
		return
	}
	l.last = time.Now()
	fmt.Fprintf(l.out, "%s: %d of %d\n", l.doing, done, total)
}
