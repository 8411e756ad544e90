package resources

import (
	"context"
	"time"
)

// Catalog stores one row per image. Implementations are in the packages sqlite and
// postgres; the suite in package catalogtest holds for both.
//
// All methods are safe for concurrent use, also by several processes on one catalog.
// Writes are durable when a method returns without an error, and each method is
// atomic: it takes effect as a whole or not at all. Errors of the database match
// ErrStorage; after such an error a write may or may not have taken effect. Times
// that are compared with each other, such as the ends of leases and the UTC day of a
// reservation, are read from one clock: that of the database, or of the machine if
// the catalog is a file.
type Catalog interface {
	Journal
	Index
	Maintenance
	Exports

	// Exists reports whether there is a catalog. Other methods create one.
	Exists() bool
	// Ready fails if the catalog cannot be opened or has a newer schema.
	Ready(ctx context.Context) error
	// Ping fails if the catalog does not respond.
	Ping(ctx context.Context) error
	// Writable fails if the catalog cannot be written.
	Writable(ctx context.Context) error
	// Name returns the file or the address of the catalog for people, without
	// secrets.
	Name() string
	Close() error
}

// Journal records the life of images that are paid for.
type Journal interface {
	// Reserve writes the rows of images that are about to be paid for. In one
	// transaction that is alone with the owner's spending and with the slots of the
	// model, it looks for an equal call, sums the spending of the UTC day, writes
	// the rows, and gives them free slots. It fails with ErrBudget if the budget
	// does not cover all images, and with ErrDailyImages if the owner may not have
	// that many on the UTC day; the Outcome then has those that are covered.
	Reserve(ctx context.Context, r Reservation) (Outcome, error)
	// Grant gives the free slots of a model to queued images, in turn: owners take
	// turns, and so do the clients of an owner; among equals the oldest image is
	// first. Grant changes only images of the lease's process: they become Submitted, and
	// their leases are renewed. Images of other processes keep their turn.
	Grant(ctx context.Context, model string, slots Slots, lease Lease) (Grant, error)
	// Record writes the state and the results of an image. It fails with ErrSettled
	// if the row cannot change to the state (State.CanBecome), has a link and would
	// become Unknown, or does not meet the guard. A row that leaves the states Queued, Submitted and Polling no longer holds
	// a slot. Record adds a missing row: the catalog was replaced while the image was
	// being made.
	Record(ctx context.Context, i Image, guard Guard) error
	// Claim leases recoverable images that no live process works on, the oldest
	// first. Their failure is cleared, and PollFailed becomes Polling, FetchFailed
	// becomes Answered. A Queued image of another process leaves the queue, because only
	// that process could send its request. An image that becomes or is Polling takes a
	// slot, even beyond the limit, because its task is in flight. The time of the row's
	// last result, Row.UpdatedAt, does not change.
	Claim(ctx context.Context, c Claim) ([]Image, error)
	// Renew extends the leases of the process on these rows, and those of its open
	// deliveries.
	Renew(ctx context.Context, lease Lease, images, deliveries []string) error
	// Park ends the lease of the process on a row, which can be claimed again after
	// the wait.
	Park(ctx context.Context, id, process string, wait time.Duration) error
	// NextClaim returns how long it takes until a row that the lease's process does
	// not own can be claimed. ok is false if there is no such row.
	NextClaim(ctx context.Context, lease Lease) (wait time.Duration, ok bool, err error)
	// BeginDelivery marks images as being delivered by the process until the lease
	// ends: equal calls do not join them.
	BeginDelivery(ctx context.Context, lease Lease, ids []string) error
	// EndDelivery removes these marks of the process. If delivered is set, a caller
	// received the images and equal calls make new ones.
	EndDelivery(ctx context.Context, process string, ids []string, delivered bool) error
	// Changes returns the changes after a cursor that other processes made, oldest
	// first and at most a few hundred, and the cursor for the next call. A change may
	// be returned twice. The zero cursor returns no changes, only the current end.
	Changes(ctx context.Context, process string, after Cursor) ([]Change, Cursor, error)
	// Watch calls changed soon after its start, and within a few seconds, mostly at
	// once, after another process has changed rows. It returns when ctx ends or the
	// connection is lost. It may call changed without cause.
	Watch(ctx context.Context, changed func()) error
}

// Index finds images. Only Row returns images in state Removed.
type Index interface {
	// Row returns an image of any owner in any state, or ErrNotFound. Callers check
	// whether the request may access it.
	Row(ctx context.Context, id string) (Row, error)
	// Page returns at most limit of an owner's images in a state, newest first, with
	// ids less than before ("" for no limit), whose prompt contains every word of
	// query in any order and case.
	Page(ctx context.Context, owner string, state State, query, before string, limit int) ([]Image, error)
	// IDs returns at most limit ids of an owner's saved images that begin with a
	// prefix, newest first.
	IDs(ctx context.Context, owner, prefix string, limit int) ([]string, error)
	// Neighbors returns the ids of an owner's saved images directly before and after an
	// id, "" where there is none. The id need not be that of an image.
	Neighbors(ctx context.Context, owner, id string) (newer, older string, err error)
	// Spending returns what an owner spent from the UTC day of one time to that of
	// another, newest day first, including removed images. An empty owner means all
	// owners, and the zero time of until no end.
	Spending(ctx context.Context, owner string, since, until time.Time) ([]Spending, error)
	// SpentToday returns what the owner spent on the current UTC day in 1e-6 US
	// dollars, in the sandbox or outside it.
	SpentToday(ctx context.Context, owner string, sandbox bool) (int64, error)
}

// Maintenance serves commands that work on the images of all owners.
type Maintenance interface {
	// Scan returns a page of rows in the given states with ids greater than after,
	// oldest first. An empty page is the end.
	Scan(ctx context.Context, after string, states ...State) ([]Row, error)
	// Count returns the number of images in the given states.
	Count(ctx context.Context, states ...State) (int, error)
	// MonthUsage returns the space that saved images take, newest month first and then by
	// owner. An empty owner means all owners.
	MonthUsage(ctx context.Context, owner string) ([]MonthUsage, error)
	// Insert adds rows as they are, for example those of another catalog. It leaves
	// out rows whose id exists, and returns how many it added.
	Insert(ctx context.Context, rows ...Row) (int, error)
	// Move records the new name of a saved image's file if it still has the old one.
	Move(ctx context.Context, id, from, to string) error
	// Reset changes a saved image whose file is missing or damaged to FetchFailed, or
	// to Lost if it has no link, with the failure that belongs to the state. It does
	// nothing if the image's file has another name by now.
	Reset(ctx context.Context, id, path string, retry, lost Failure) error
	// GiveUp changes a sandbox image whose lease has expired to Failed, without cost.
	GiveUp(ctx context.Context, id string, f Failure) error
	// Remove changes a row to Removed, clears its prompt, path, link and answer, and
	// returns the name that its file had. It fails with ErrNotFound if the owner has
	// no such image.
	Remove(ctx context.Context, owner, id string) (path string, err error)
	// Setting returns a setting of the library, and stores initial first if it has no
	// value. SetSetting replaces it.
	Setting(ctx context.Context, name string, initial []byte) ([]byte, error)
	SetSetting(ctx context.Context, name string, value []byte) error
	// Verify checks the structure of the catalog and returns "" or its first defect.
	Verify(ctx context.Context) (defect string, err error)
}

// Exports records the files that this program wrote for users, outside of the store.
type Exports interface {
	// RecordExport records a file. It replaces the record of the same path. It fails if
	// the path has more than 2,500 bytes.
	RecordExport(ctx context.Context, e Exported) error
	// ExportAt returns the record of a path. It fails with ErrNotFound if there is none.
	ExportAt(ctx context.Context, path string) (Exported, error)
	// ExportsOf returns the records of an image, the oldest first.
	ExportsOf(ctx context.Context, id string) ([]Exported, error)
	// ExportsAfter returns a page of the records that follow that of a path, in an order
	// of the catalog. "" stands for the beginning; an empty page is the end.
	ExportsAfter(ctx context.Context, path string) ([]Exported, error)
}

// Exported is a file that this program wrote outside of the store.
type Exported struct {
	Path      string // absolute, as the system writes it
	ImageID   string
	Spec      string // see render.Spec
	SHA256    string // hex
	Bytes     int64
	CreatedAt time.Time
}

// Lease makes a process the owner of a row for a time. After that time, other
// processes can claim the row unless the lease was renewed.
type Lease struct {
	Process string
	For     time.Duration
	Sandbox bool // the process uses the sandbox: it claims only sandbox images, and other processes only real ones
}

// Slots are the requests that may be in flight for one API key.
type Slots struct {
	Key   string // identifies the key without revealing it
	Limit int    // per model; 0 for no limit
}

// Reservation describes the images of a call that is about to be paid for.
type Reservation struct {
	Images []Image // to be made; they differ only in ID and CallID
	Count  int     // number of images of the call, including joined ones
	Budget int64   // limit per owner and UTC day in 1e-6 US dollars; 0 for no limit
	Daily  int     // limit of charged images per owner and UTC day; 0 for no limit
	Lease  Lease
	Slots  Slots
	Client string // takes turns with the owner's other clients

	JoinKey      string        // the same for equal calls; "" joins nothing
	RejoinWindow time.Duration // how long an undelivered image can be joined
}

// Outcome is the result of a Reservation.
type Outcome struct {
	Joined []Image // images of an equal call that are in progress, or made and not delivered
	New    []Image // the first of Reservation.Images, now reserved: Submitted if they have a slot, otherwise Queued
}

// Grant is the result of Journal.Grant.
type Grant struct {
	Granted []string       // images of the process that are now Submitted
	Ahead   map[string]int // for each queued image of the process, how many get a slot before it
}

// Guard restricts Record to a row that is still in state From and leased to the lease's
// process, and then renews the lease. If From is empty, Record does not look at the
// row's lease, and Lease.Process only says which process makes the change.
type Guard struct {
	From  State
	Lease Lease
}

// Claim says which images Journal.Claim leases.
type Claim struct {
	Lease Lease
	ID    string // only this image, also before its next attempt is due; "" for all images
	Limit int    // 0 for no limit
	Early bool   // also images whose next attempt is not due
}

// Row is an image with what only maintenance and recovery read.
type Row struct {
	Image
	UpdatedAt  time.Time
	LeaseUntil time.Time
	LeaseAlive bool // a live process works on the image
	JoinKey    string
	FailedAt   time.Time // of the first failure; zero if there was none
}

// Cursor is a position in the sequence of changes.
type Cursor string

// Change is a change of a row by another process.
type Change struct {
	ID, Owner string
	State     State
}
