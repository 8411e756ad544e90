// Package resources is the image library: image files in a Store, their rows in a
// Catalog, small previews, signed download links, and the MCP resources through which
// agents read them.
//
// Packages sqlite and postgres implement Catalog, and packages folder and bucket
// implement Store. On a laptop the library is a folder with an SQLite file in it. Any
// number of equal servers can share a library in a bucket and a Postgres database.
//
// # The life of an image
//
// State is the stage that an image has reached. File state.go lists the states, how
// they follow each other, and what follows from them. The statements of the catalogs
// take their lists of states from there.
//
// # Order of writes
//
// The row of an image is written before the image is paid for, so that no cost is
// lost in a crash. Each step is durable before the next one begins:
//
//  1. Reserve checks the budget and writes the row (queued or submitted) before
//     the image is requested from the API.
//  2. Record writes the row (answered, with the link) before the image is
//     downloaded.
//  3. Save writes the file, and then the row (saved, with size and hash).
//
// A row in state Saved therefore always has its file, and after a crash the catalog
// lists every image that may have been paid for, with the link or task id for
// finishing it if there is one. Remove works in the opposite order: first the row,
// then the file. A removed row keeps the cost of the image.
//
// # Several processes
//
// Any number of processes may use a library at once: those of one machine if its
// catalog is a file, those of any machine otherwise. Reserve is one transaction, so
// budgets, the joining of equal calls and the requests in flight for the API key are
// exact across processes. A process holds leases on the rows that it works on, and
// renews them; Claim takes over rows whose lease has expired or whose process has
// died. A delivery that a process has begun is recorded in the row with its own lease.
//
// # Files on disk
//
//	YYYY/MM/DD/<words-of-the-prompt>-<id>.png   an image, mode 0644
//	.catalog.db                                 the catalog, mode 0600
//	.previews/                                  previews, which can be regenerated
//	.exports/YYYY/MM/DD/<id>-<spec>.webp        a cache of exports, likewise
//	.processes/                                 one lock file per running process
//	.damaged/                                   files that Repair moved aside
//
// The catalog can be elsewhere; .previews, .exports and .processes are in its folder. A
// bucket has the same names.
//
// # Labels
//
// The file of an image has exactly the bytes that the vendor sent. What is made from it
// (previews, exports, JPEG copies) keeps the original's marks of its origin and gets a
// label of Options.Label. The label is added when a file leaves the library, so the caches
// do not depend on it.
//
// # Access
//
// Methods with an owner parameter return only that owner's images, and are for
// serving requests. Reserve, Record, Save, Missing and the methods of Journal are for
// the pipeline that generates images. Check, Repair, Reindex, SweepPreviews, PruneExports, and
// Spending and Usage with an empty owner, work on the images of all owners and are for
// commands that the machine's user runs.
package resources
