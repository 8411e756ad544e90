package replicas

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/internal/testrig"
)

// The API accepts one request for glm-image and five for CogView at a time from one key.
const (
	glmLimit     = 1
	cogviewLimit = 5
)

// Replicas never have more requests in flight than the API accepts.
func TestSlots_Replicas(t *testing.T) {
	overBoth(t, func(t *testing.T, newPlace func(*testing.T) *place) {
		t.Parallel()
		u := newUpstream(t)
		f := newFleet(t, 4, newPlace(t), u, "--daily-budget", "0", "--wait", "100s")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for model, calls := range map[string]int{glm: 8, cogview: 80} {
			for n := range calls {
				all.Go(func() {
					o := f.replicas[n%4].generate(ctx, owners[n/4%4], model, fmt.Sprintf("sandbox:delay=400ms %s %d", model, n))
					assert.Equal(t, "saved", o.status, "%s, %v", o.said(), o.err)
				})
			}
		}
		all.Wait()
		u.checkSlots(t)
	})
}

// checkSlots checks that the limits were reached and never exceeded.
func (u *upstream) checkSlots(t *testing.T) {
	t.Helper()
	assert.Equal(t, glmLimit, u.MostInFlight(glm))
	assert.Equal(t, cogviewLimit, u.MostInFlight(cogview))
	assert.Equal(t, 1, u.mostPosts())
}

// Stdio servers on one catalog share the limits too.
func TestSlots_Stdio(t *testing.T) {
	t.Parallel()
	u, p := newUpstream(t), localPlace(t)
	const servers, glmCalls, cogviewCalls = 4, 2, 10
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for server := range servers {
		all.Go(func() {
			answers := stdio(ctx, t, append(p.env(), u.env()...), glmCalls+cogviewCalls, func(n int) (model, prompt string) {
				model = cogview
				if n < glmCalls {
					model = glm
				}
				return model, fmt.Sprintf("sandbox:delay=400ms %s %d of server %d", model, n, server)
			})
			for _, o := range answers {
				assert.Equal(t, "saved", o.status, "%s, %v", o.said(), o.err)
			}
			assert.Len(t, answers, glmCalls+cogviewCalls)
		})
	}
	all.Wait()
	u.checkSlots(t)
	p.checkClean(t)
}

// stdio runs a server over stdio that is sent n calls at once, and returns their outcomes.
func stdio(ctx context.Context, t *testing.T, env []string, n int, call func(n int) (model, prompt string)) (list []outcome) {
	t.Helper()
	c := testrig.Command(t, env, "--daily-budget", "0", "--wait", "100s")
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	stop := context.AfterFunc(ctx, func() { _ = c.Process.Kill() })
	defer stop()
	fmt.Fprintln(in, testrig.Initialize+"\n"+testrig.Initialized)
	for id := range n {
		model, prompt := call(id)
		fmt.Fprintf(in, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":%q,"model":%q,"size":"512x512"}}}`+"\n", id, prompt, model)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for len(list) < n && lines.Scan() {
		var m testrig.Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil || m.Method != "" || string(m.ID) == `"hello"` {
			continue
		}
		var result testrig.ToolResult
		err := json.Unmarshal(m.Result, &result)
		list = append(list, outcomeOf(result, err))
	}
	_ = in.Close()
	_, _ = io.Copy(io.Discard, out)
	require.NoError(t, c.Wait())
	return list
}
