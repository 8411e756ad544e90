package durability

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// images is how many are made on one disk.
const pictures = 100

// The power is cut in the moment of an acknowledgement: what has reached the
// disk by then is all there is. The control is the same program with flushing
// made a lie; it must lose images, or this test could not see a loss.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	needStrace(t)
	disks := 4
	if full() {
		disks = 25
	}
	s := newService(t)
	t.Run("flushing", func(t *testing.T) {
		acked, lost, torn := 0, 0, 0
		for range disks {
			for _, cut := range s.cuts(t, nil) {
				a, l, b := cut.inspect(t)
				acked, lost, torn = acked+a, lost+l, torn+b
			}
		}
		t.Logf("%d cuts: %d acknowledged, %d lost, %d torn", 2*disks, acked, lost, torn)
		assert.Positive(t, acked)
		assert.Zero(t, lost)
		assert.Zero(t, torn)
	})
	t.Run("control", func(t *testing.T) {
		acked, lost, torn := 0, 0, 0
		for _, cut := range s.cuts(t, []string{"-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0"}) {
			a, l, b := cut.inspect(t)
			acked, lost, torn = acked+a, lost+l, torn+b
		}
		t.Logf("without flushing: %d acknowledged, %d lost, %d torn", acked, lost, torn)
		assert.Positive(t, lost+torn)
	})
}

// cut is a disk as it was when the power went, and what had been acknowledged.
type cut struct {
	disk  string
	acked map[string]string // id -> hash
}

// cuts makes images on a disk and cuts its power twice: somewhere in the
// middle and after the last one.
func (s *service) cuts(t *testing.T, rules []string) (list []cut) {
	t.Helper()
	disk, folder := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	for _, args := range [][]string{{"truncate", "-s", "96M", disk}, {"mkfs.ext4", "-q", disk}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED: no disk can be made here: %s", out)
		}
	}
	mount(t, "-o", "loop", disk, folder)
	defer func() { _ = exec.Command("umount", folder).Run() }()
	c := s.command(filepath.Join(folder, "pictures"), rules)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	answers := bufio.NewScanner(out)
	answers.Buffer(nil, 8<<20)
	acked := map[string]string{}
	middle := 1 + rand.IntN(pictures-1)
	for n := 1; n <= pictures; n++ {
		_, err := fmt.Fprintf(in, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"picture %d","size":"512x512"}}}`+"\n", n, n)
		require.NoError(t, err)
		id, sha := acknowledged(t, answers)
		acked[id] = sha
		if n != middle && n != pictures {
			continue
		}
		// The program stands still while the disk is copied, so that the copy is of one moment.
		require.NoError(t, syscall.Kill(-c.Process.Pid, syscall.SIGSTOP))
		c1 := cut{fmt.Sprint(disk, n), map[string]string{}}
		output, err := exec.Command("cp", "--sparse=always", disk, c1.disk).CombinedOutput()
		require.NoError(t, err, string(output))
		require.NoError(t, syscall.Kill(-c.Process.Pid, syscall.SIGCONT))
		maps.Copy(c1.acked, acked)
		list = append(list, c1)
	}
	require.NoError(t, in.Close())
	require.NoError(t, c.Wait())
	return list
}

// acknowledged reads up to the answer with the next image.
func acknowledged(t *testing.T, answers *bufio.Scanner) (id, sha string) {
	t.Helper()
	for answers.Scan() {
		var answer struct {
			ID     int
			Result struct {
				StructuredContent struct {
					Images []struct{ ID, Status, SHA256 string }
				}
			}
		}
		require.NoError(t, json.Unmarshal(answers.Bytes(), &answer))
		if answer.ID == 0 {
			continue // a notification
		}
		require.Len(t, answer.Result.StructuredContent.Images, 1, answers.Text())
		i := answer.Result.StructuredContent.Images[0]
		require.Equal(t, "saved", i.Status)
		return i.ID, i.SHA256
	}
	require.Fail(t, "no answer", answers.Err())
	return "", ""
}

// inspect looks which acknowledged images are lost, and which are there but
// not whole.
func (c cut) inspect(t *testing.T) (acked, lost, torn int) {
	t.Helper()
	folder := t.TempDir()
	mount(t, "-o", "loop", c.disk, folder) // replays the file system's journal
	defer func() { _ = exec.Command("umount", folder).Run() }()
	l := open(t, filepath.Join(folder, "pictures"))
	defer l.Close()
	for id, sha := range c.acked {
		i, err := l.Image(t.Context(), "local", id)
		switch {
		case err != nil || i.State != resources.Saved:
			lost++
			continue
		case i.SHA256 != sha:
			torn++
			continue
		}
		if _, err := l.Read(t.Context(), i); err != nil {
			torn++
		}
	}
	if report, err := l.Check(t.Context(), true, nil); err == nil && lost+torn == 0 {
		for _, p := range report.Problems {
			// What was under way may have its file and not its row yet.
			assert.Contains(t, []resources.ProblemKind{resources.Orphan, resources.Orphaned}, p.Kind, "%+v", p)
		}
	}
	return len(c.acked), lost, torn
}
