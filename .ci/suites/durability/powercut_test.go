package durability

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
	"zai-image-mcp/resources"
)

// imagesPerDisk is the number of images that are generated on each disk.
const imagesPerDisk = 100

// The power is cut when an image is acknowledged, so that only the data remains that
// has reached the disk by then. In the control run, fsync does nothing: it must lose
// images, or the test could not detect a loss.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	testrig.NeedLocal(t, "it is about the disk")
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

// cut is a copy of a disk at a power cut, and the images acknowledged before it.
type cut struct {
	disk  string
	acked map[string]string // id -> hash
}

// cuts generates images on a disk and cuts the power twice: after a random image and
// after the last one.
func (s *service) cuts(t *testing.T, rules []string) (list []cut) {
	t.Helper()
	disk, folder := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	for _, args := range [][]string{{"truncate", "-s", "96M", disk}, {"mkfs.ext4", "-q", disk}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED: cannot create a disk image here: %s", out)
		}
	}
	mount(t, "-o", "loop", disk, folder)
	defer func() { _ = exec.Command("umount", folder).Run() }()
	c := s.command(t, filepath.Join(folder, "images"), rules)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	messages := bufio.NewScanner(out)
	messages.Buffer(nil, 8<<20)
	acked := map[string]string{}
	middle := 1 + rand.IntN(imagesPerDisk-1)
	for n := 1; n <= imagesPerDisk; n++ {
		_, err := fmt.Fprintf(in, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"image %d","size":"512x512"}}}`+"\n", n, n)
		require.NoError(t, err)
		id, sha := acknowledged(t, messages)
		acked[id] = sha
		if n != middle && n != imagesPerDisk {
			continue
		}
		// Suspend the program, so that the copy of the disk is consistent.
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

// acknowledged reads messages up to the next response with an image.
func acknowledged(t *testing.T, answers *bufio.Scanner) (id, sha string) {
	t.Helper()
	for answers.Scan() {
		answer := testrig.ParseMessage(t, answers.Bytes())
		if answer.Method != "" {
			continue // a notification
		}
		result := answer.ToolResult(t)
		require.Len(t, result.StructuredContent.Images, 1, answers.Text())
		i := result.StructuredContent.Images[0]
		require.Equal(t, resources.StatusSaved, i.Status)
		return i.ID, i.SHA256
	}
	require.Fail(t, "no response", answers.Err())
	return "", ""
}

// inspect returns the number of acknowledged images, and how many of them are lost
// or damaged.
func (c cut) inspect(t *testing.T) (acked, lost, torn int) {
	t.Helper()
	folder := t.TempDir()
	mount(t, "-o", "loop", c.disk, folder) // replays the file system's journal
	defer func() { _ = exec.Command("umount", folder).Run() }()
	l := open(t, filepath.Join(folder, "images"))
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
			// The file of an image in progress may not be in the catalog yet.
			assert.Contains(t, []resources.ProblemKind{resources.Orphan, resources.Orphaned}, p.Kind, "%+v", p)
		}
	}
	return len(c.acked), lost, torn
}
