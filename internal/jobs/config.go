package jobs

import (
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"zai-image-mcp/internal/limit"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Config configures a Pipeline.
type Config struct {
	Client        *zai.Client // nil without a usable API key
	BadKey        *KeyError   // why the configured key is not usable, or nil
	Library       *resources.Library
	Process       string  // unique among the processes that share the catalog
	MaxConcurrent int     // requests in flight per model; 0 for the limits of the model table
	BudgetUSD     float64 // per owner and UTC day; 0 for no limit
	Sandbox       bool    // the client talks to the sandbox
	// Allowance returns what an owner may do, instead of BudgetUSD. It is nil if all
	// owners may do the same.
	Allowance     func(owner string) limit.Allowance
	Now           func() time.Time
	Lease         time.Duration // time without renewal after which other processes take an image over; 30 s if zero
	BusyPause     time.Duration // first pause after a rejection for too many requests in flight; 1 s if zero
	GrantInterval time.Duration // between requests for slots while images wait for one; 300 ms if zero
	WatchInterval time.Duration // after which a call looks at an image of another process that has not changed; 3 s if zero
	RecoveryDelay time.Duration // before the first recovery, and between the end of a lease and the next recovery; 1 s if zero
	Log           *slog.Logger
	Tracer        trace.Tracer // nil for no traces
}

const (
	defaultLease         = 30 * time.Second
	defaultBusyPause     = time.Second
	defaultGrantInterval = 300 * time.Millisecond
	defaultWatchInterval = 3 * time.Second
	defaultRecoveryDelay = time.Second // some hosts start the server only to probe it
)

// withDefaults returns the configuration with defaults in place of zeros.
func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&c.Lease, defaultLease}, {&c.BusyPause, defaultBusyPause}, {&c.GrantInterval, defaultGrantInterval},
		{&c.WatchInterval, defaultWatchInterval}, {&c.RecoveryDelay, defaultRecoveryDelay},
	} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider().Tracer("")
	}
	return c
}

// slots returns how many requests for a model may be in flight for the API key.
func (c Config) slots(model string) resources.Slots {
	s := resources.Slots{Key: c.Client.KeyID(), Limit: c.MaxConcurrent}
	if s.Limit > 0 {
		return s
	}
	s.Limit = 1 // for an unknown model: the client rejects the request before it is sent
	if m, err := zai.FindModel(c.Client.Region(), model); err == nil {
		s.Limit = max(m.MaxConcurrent, 1)
	}
	return s
}

// allowance returns what an owner may do.
func (c Config) allowance(owner string) limit.Allowance {
	if c.Allowance == nil {
		return limit.Allowance{BudgetUSD: c.BudgetUSD}
	}
	return c.Allowance(owner)
}

// lease returns the lease with which this process claims images.
func (c Config) lease() resources.Lease {
	return resources.Lease{Process: c.Process, For: c.Lease, Sandbox: c.Sandbox}
}

// ifState returns the guard that restricts a step to a row that is still in a state
// and leased to this process.
func (c Config) ifState(s resources.State) resources.Guard {
	return resources.Guard{From: s, Lease: c.lease()}
}

// always returns the guard of a step that restricts nothing.
func (c Config) always() resources.Guard { return resources.Guard{Lease: c.lease()} }

// wallClock returns the time without its monotonic reading: leases must expire
// while the machine sleeps.
func (c Config) wallClock() time.Time { return c.Now().Round(0) }
