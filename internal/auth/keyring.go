package auth

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// Keys of these ages are fetched again: beside requests, or before the request
	// that needs them. Keys of maxAge are not used any more.
	renewBeside = 10 * time.Minute
	renewBefore = time.Hour
	maxAge      = 24 * time.Hour

	// retryBeside is how long after a failed fetch no request waits for another one
	// while there are keys.
	retryBeside = time.Minute

	// The issuer is asked at most maxFetches times at once, and then once per
	// fetchInterval, whatever tokens arrive. Tokens with unknown keys make it be asked
	// only if there were fewer than maxFetches fetches in the last fetchWindow.
	maxFetches    = 4
	fetchInterval = 15 * time.Second
	fetchWindow   = maxFetches * fetchInterval
)

// keyring has the keys of an issuer and fetches them when that is necessary.
type keyring struct {
	discovery discovery
	now       func() time.Time
	log       *slog.Logger

	mu      sync.Mutex
	limiter *rate.Limiter
	starts  [maxFetches]time.Time // of the last fetches, oldest first
	current *keySet               // nil until a fetch succeeds
	running *fetch                // nil if no fetch is under way
	failed  time.Time             // start of the last fetch that failed
}

// purpose is why keys are fetched.
type purpose int

const (
	forAge        purpose = iota // there are none, or they are old
	forUnknownKey                // a token names another one
)

// fetch is one fetch of keys. All who need keys at the same time share it.
type fetch struct {
	done chan struct{} // closed at the end
	set  *keySet       // nil if it failed
}

func newKeyring(c OIDCConfig) *keyring {
	return &keyring{
		discovery: newDiscovery(c.Issuer, c.HTTP),
		now:       c.Now, log: c.Log,
		limiter: rate.NewLimiter(rate.Every(fetchInterval), maxFetches),
	}
}

// verify checks the signature of a token and returns the issuer as its metadata
// spells it. A token whose key is not known makes it ask the issuer, since the key
// may be new; a token with a known key does not.
func (k *keyring) verify(ctx context.Context, token *jwt) (issuer string, err error) {
	set, latest, err := k.keys(ctx)
	if err != nil {
		return "", err
	}
	for {
		err = set.verify(token)
		if latest || !errors.Is(err, errKey) {
			return set.metadata.Issuer, err
		}
		if set, latest, err = k.renew(ctx, forUnknownKey); err != nil {
			return "", err
		}
	}
}

// keys returns the keys of the issuer, and whether it asked for them for this
// call. It fails with ErrUnavailable if there are none, or only keys that are too
// old.
func (k *keyring) keys(ctx context.Context) (set *keySet, latest bool, err error) {
	k.mu.Lock()
	known := k.current
	age, now := maxAge, k.now()
	if known != nil {
		age = now.Sub(known.asked)
	}
	wait := age >= maxAge || age >= renewBefore && now.Sub(k.failed) >= retryBeside
	if !wait && age >= renewBeside {
		k.startLocked(forAge)
	}
	k.mu.Unlock()

	if !wait {
		return known, false, nil
	}
	set, latest, err = k.renew(ctx, forAge)
	if err != nil && age < maxAge {
		return known, false, nil
	}
	return set, latest, err
}

// issuerName returns the issuer as its metadata spells it.
func (k *keyring) issuerName(ctx context.Context) (string, error) {
	k.mu.Lock()
	set := k.current
	k.mu.Unlock()
	if set == nil {
		var err error
		if set, _, err = k.renew(ctx, forAge); err != nil {
			return "", err
		}
	}
	return set.metadata.Issuer, nil
}

// renew fetches the keys, or joins a fetch that is under way. In that case they are
// not the latest: the fetch may have read them before the call. It fails with
// ErrUnavailable if the fetch fails or the issuer was asked too often.
func (k *keyring) renew(ctx context.Context, why purpose) (set *keySet, latest bool, err error) {
	k.mu.Lock()
	joined := k.running != nil
	f := k.startLocked(why)
	k.mu.Unlock()
	if f == nil {
		return nil, false, ErrUnavailable
	}
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	if ctx.Err() != nil || f.set == nil {
		return nil, false, ErrUnavailable
	}
	return f.set, !joined, nil
}

// startLocked returns the fetch that is under way, after starting one if there is
// none. It returns nil if the issuer was asked too often.
func (k *keyring) startLocked(why purpose) *fetch {
	if k.running != nil {
		return k.running
	}
	now := k.now()
	if why == forUnknownKey && now.Sub(k.starts[0]) < fetchWindow {
		return nil
	}
	if !k.limiter.AllowN(now, 1) {
		return nil
	}
	copy(k.starts[:], k.starts[1:])
	k.starts[maxFetches-1] = now
	f := &fetch{done: make(chan struct{})}
	k.running = f
	go k.run(f, now)
	return f
}

// run fetches the keys. No request owns the fetch: the first one to need the keys may
// be cancelled while others wait for them.
func (k *keyring) run(f *fetch, asked time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	set, err := k.discovery.fetch(ctx)
	if err != nil {
		k.log.Warn("failed to fetch the keys of the token issuer", "issuer", k.discovery.issuer, "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.failed = asked
	} else {
		set.asked = asked
		f.set, k.current = set, set
	}
	k.running = nil
	close(f.done)
}
