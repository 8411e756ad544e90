package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is a server that takes part in comparisons.
type program struct {
	name    string // in metrics, as in cpu-of-plain
	command []string
}

var (
	product = program{name: "product"}
	plain   = program{name: "plain"}
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "zai-image-mcp-bench-")
	if err == nil {
		err = errors.Join(product.build(dir, "zai-image-mcp"), plain.build(dir, "./plain"))
	}
	status := 1
	if err == nil {
		status = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// build builds a Go program as the program is released.
func (p *program) build(dir, pkg string) error {
	path := filepath.Join(dir, p.name)
	c := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", pkg, err, out)
	}
	p.command = []string{path}
	return nil
}

// sharp returns the server that uses sharp, and whether sharp is installed.
func sharp(b *testing.B) (program, bool) {
	b.Helper()
	if os.Getenv("ZAI_BENCH_SHARP") == "" {
		return program{}, false
	}
	node, err := exec.LookPath("node")
	if err != nil {
		b.Fatal("ZAI_BENCH_SHARP is set, and node is missing")
	}
	script, err := filepath.Abs("sharp/server.mjs")
	if err != nil {
		b.Fatal(err)
	}
	return program{name: "sharp", command: []string{node, script}}, true
}

// needsSharp skips a benchmark that compares the program with sharp alone.
func needsSharp(b *testing.B) program {
	b.Helper()
	p, ok := sharp(b)
	if !ok {
		notTested(b, noSharp)
		b.SkipNow()
	}
	return p
}

// everyProgram returns the program and its references, without sharp if it is not installed.
func everyProgram(b *testing.B) []program {
	b.Helper()
	list := []program{product, plain}
	p, ok := sharp(b)
	if !ok {
		notTested(b, noSharp)
		return list
	}
	return append(list, p)
}

const noSharp = "nothing is compared with sharp: set ZAI_BENCH_SHARP to a folder in which it is installed"

// notTested reports what a benchmark leaves out. Without -v, go test would not.
func notTested(b *testing.B, reason string) {
	b.Helper()
	fmt.Fprintf(os.Stderr, "NOT TESTED: %s: %s\n", b.Name(), reason)
}
