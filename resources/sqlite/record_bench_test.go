package sqlite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// paidCall describes a call for one image, as a server makes it.
func paidCall() resources.Reservation {
	call := reservation(resources.Image{Model: "m", Prompt: "a red fox in the snow", Size: "1024x1024", Quality: "standard", CostMicroUSD: 10_000}, leaseOf("one", time.Minute))
	call.Budget, call.JoinKey, call.RejoinWindow, call.Client = 1e15, call.Images[0].ID, time.Hour, "client"
	return call
}

// Reserving an image, with and without a limit of requests in flight.
func BenchmarkReserve(b *testing.B) {
	for name, limit := range map[string]int{"unlimited": 0, "limited": 1e9} {
		b.Run(name, func(b *testing.B) {
			c := open(b, b.TempDir())
			b.ReportAllocs()
			for b.Loop() {
				call := paidCall()
				call.Slots = resources.Slots{Key: "key", Limit: limit}
				outcome, err := c.Reserve(b.Context(), call)
				if err != nil || len(outcome.New) != 1 {
					b.Fatal(outcome, err)
				}
				if limit > 0 { // the number of requests in flight stays low, as in a server
					b.StopTimer()
					i := outcome.New[0]
					i.State = resources.Answered
					require.NoError(b, c.Record(b.Context(), i, resources.Guard{}))
					b.StartTimer()
				}
			}
		})
	}
}

// Recording a step of an image.
func BenchmarkRecord(b *testing.B) {
	lease := leaseOf("one", time.Minute)
	for name, guard := range map[string]resources.Guard{"unguarded": {}, "guarded": {From: resources.Submitted, Lease: lease}} {
		b.Run(name, func(b *testing.B) {
			c := open(b, b.TempDir())
			i := reserveFor(b, c, lease, resources.Image{Model: "m", Prompt: "a red fox in the snow"})
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Record(b.Context(), i, guard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Reading the row of an image.
func BenchmarkRow(b *testing.B) {
	c := open(b, b.TempDir())
	i := save(b, c, "a red fox in the snow")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Row(b.Context(), i.ID); err != nil {
			b.Fatal(err)
		}
	}
}
