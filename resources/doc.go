// Package resources is the image library: image files in a folder, their catalog in
// SQLite, small previews, signed download links, and the MCP resources through
// which agents read them.
//
// # Order of writes
//
// The row of an image is written before the image is paid for, so that no cost is
// lost in a crash. Each step is durable, that is, flushed to disk, before the next
// one begins:
//
//  1. Reserve checks the budget and writes the row (queued or submitted) before
//     the image is requested from the API.
//  2. Record writes the row (answered, with the link) before the image is
//     downloaded.
//  3. Save writes the file to a temporary name, flushes it, renames it and
//     flushes the folder; then it writes the row (saved, with size and hash).
//
// A row in state Saved therefore always has its file, and after a crash the catalog
// lists every image that may have been paid for, with the link or task id for
// finishing it if there is one. Remove works in the opposite order: first the row,
// then the file. A removed row keeps the cost of the image.
//
// # Several processes
//
// Any number of processes on one machine may use a library at once. Reserve is one
// transaction, so budgets and the joining of equal calls are exact across
// processes. A process holds leases on the rows that it works on, and renews them;
// Claim and ClaimOne take over rows whose lease has expired or whose process has
// died. Each process locks a file (liveness.go), which is unlocked as soon as the
// process ends.
//
// # Files on disk
//
//	YYYY/MM/DD/<words-of-the-prompt>-<id>.png   an image, mode 0644
//	.catalog.db                                 the catalog, mode 0600
//	.previews/                                  previews, which can be regenerated
//	.processes/                                 one lock file per running process
//	.damaged/                                   files that Repair moved aside
//
// Options.Catalog can place the catalog elsewhere; .previews and .processes are in
// the catalog's folder.
//
// # Access
//
// Methods with an owner parameter return only that owner's images, and are for
// serving requests. Reserve, Claim, Renew, Park, Record, Save, Missing and
// ConfirmDelivery are for the pipeline that generates images. Check, Repair, Reindex,
// SweepPreviews, and Spending with an empty owner, work on the images of all owners
// and are for commands that the machine's user runs.
package resources
