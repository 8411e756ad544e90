package limit

import "time"

// Bounds of single messages and of what the server keeps for one client.
const (
	MaxLine          = 16 << 20 // bytes of one message over stdio; no call needs more than some kilobytes
	MaxBody          = 1 << 20  // bytes of one message over HTTP
	SmallBody        = 16 << 10 // bytes of a body that is read at once; larger ones take turns
	MaxElements      = 10_000   // keys and values of one message; no call needs more than some hundred
	MaxSubscriptions = 100      // resources that one session subscribes to
	MaxURI           = 200      // bytes of a resource URI that is kept or repeated; ours have at most half
	MaxName          = 100      // bytes of a client's text that is kept or logged

	StdioMaxAnswer = 9 << 20 // bytes of one message to a stdio host: the official TypeScript client closes the connection over a line of 10 MiB
)

// Bounds of requests in flight.
const (
	MaxInFlight    = 32 << 20 // bytes of requests in flight: over stdio more wait unread, over HTTP more are refused
	MinWeight      = 32 << 10 // bytes that a request counts at least, so that at most 1024 are in flight
	MaxCalls       = 1024     // tool calls in flight; those that make images also wait in the queue of their model
	MaxClientCalls = 256      // of one client
	StdioReads     = 8        // resources/read in progress over stdio
	WebReads       = 32       // resources/read in progress over HTTP; clients that do not read hold theirs until WriteTime
	WebExports     = 64       // exports being sent over HTTP, each counted once for every 8 MB that it may have; more are refused
	LargeBodies    = 16       // bodies beyond SmallBody being read or parsed
	Share          = 4        // one HTTP client may use a quarter of MaxInFlight and of WebReads, and one of several owners a quarter of WebExports, sessions and streams
)

// Bounds of notifications that wait to be written; more are dropped.
const (
	CallNotifications         = 512  // of one tool call with a progress token; they must survive a slow connection
	RequestNotifications      = 16   // of any other request
	SessionNotifications      = 64   // of a session over Streamable HTTP until its stream opens
	ConnectionNotifications   = 4096 // of a stdio host
	SSENotifications          = 512  // of an HTTP+SSE client
	SubscriptionNotifications = 64   // of one subscriptions/listen
)

// FlushTimeout bounds how long a host that stopped reading can delay shutdown.
const FlushTimeout = time.Second

// ExpiryGrace is how long a stream stays open after the newest token of its
// session has expired, so that a client has time to renew it.
const ExpiryGrace = time.Minute

// Limits bounds what the clients of an HTTP server can make it hold.
type Limits struct {
	Connections    int           // open at once; further ones are closed
	Sessions       int           // open at once
	Streams        int           // open at once: GET, HTTP+SSE and subscriptions
	SessionIdle    time.Duration // after which a session is closed
	Handshake      time.Duration // after which a session is closed that was not used since its handshake
	SweepInterval  time.Duration // between searches for idle sessions and changed tokens
	Heartbeat      time.Duration // between heartbeats on a silent stream
	HeaderTime     time.Duration // for a request's header
	BodyTime       time.Duration // for a request's body
	WriteTime      time.Duration // for one message to a client that does not read, plus its size at MinBytesPerSecond
	KeepAlive      time.Duration // of an idle connection
	MaxHeaderBytes int
}

// MinBytesPerSecond is the slowest rate at which a client may read a large
// message.
const MinBytesPerSecond = 256 << 10

// Default returns limits that suit a team on one machine.
func Default() Limits {
	return Limits{
		Connections: 8192, Sessions: 4096, Streams: 1024, SessionIdle: time.Hour, Handshake: time.Minute, SweepInterval: time.Second,
		Heartbeat: 15 * time.Second, HeaderTime: 5 * time.Second, BodyTime: 8 * time.Second, WriteTime: 8 * time.Second,
		KeepAlive: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
}
