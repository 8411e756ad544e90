package server

import (
	"context"
	"sync"

	"zai-image-mcp/internal/jobs"
)

// receipt collects which images are in the answer to a request, until it is
// known whether that reached its client.
type receipt struct {
	pipeline *jobs.Pipeline

	mu      sync.Mutex
	ids     []string
	settled bool
}

type receiptKey struct{}

func (s *Server) withReceipt(ctx context.Context) (context.Context, *receipt) {
	r := &receipt{pipeline: s.pipeline}
	return context.WithValue(ctx, receiptKey{}, r), r
}

// handOut notes the images of a result. Without a receipt it is given to a
// caller inside the process, who has it at once.
func (s *Server) handOut(ctx context.Context, ids []string) {
	s.pipeline.BeginDelivery(ids)
	r, ok := ctx.Value(receiptKey{}).(*receipt)
	if !ok {
		s.pipeline.ConfirmDelivery(ctx, ids)
		return
	}
	r.mu.Lock()
	late := r.settled
	if !late {
		r.ids = append(r.ids, ids...)
	}
	r.mu.Unlock()
	if late {
		s.pipeline.CancelDelivery(ids)
	}
}

func (r *receipt) empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids) == 0
}

// settle says whether the answer was written. Only the first word counts.
func (r *receipt) settle(ctx context.Context, written bool) {
	r.mu.Lock()
	ids := r.ids
	r.ids, r.settled = nil, true
	r.mu.Unlock()
	if written {
		r.pipeline.ConfirmDelivery(ctx, ids)
	} else {
		r.pipeline.CancelDelivery(ids)
	}
}
