// Package resources is the library of images: image files in a folder, a
// catalog of them in SQLite, small previews, signed download links, and the MCP
// resources that show all of it to agents.
//
// # Order of writes
//
// The row of an image is also the journal of the money it costs. Each step is
// durable, that is flushed to disk, before the next one begins:
//
//  1. Reserve checks the budget and writes the row (queued or submitted) before
//     the image is requested from the API.
//  2. Record writes the row (answered, with the link) before the image is
//     downloaded.
//  3. Save writes the file to a temporary name, flushes it, renames it and
//     flushes the folder; then it writes the row (saved, with size and hash).
//
// A row in state Saved therefore always has its file, and after a crash the
// catalog has what is needed to finish every image that was paid for. Remove
// works in the opposite order: first the row, then the file. A removed row keeps
// the cost of the image.
//
// # Several processes
//
// Any number of processes of one machine may use a library at once. Reserve is
// one transaction, so budgets and the joining of equal calls are exact across
// processes. A process owns the rows it works on by a lease, which it renews;
// Claim and ClaimOne take over rows whose lease has expired or whose process is
// dead. A lock file per process (liveness.go) shows at once that it died.
//
// # Files on disk
//
//	YYYY/MM/DD/<words-of-the-prompt>-<id>.png   an image, mode 0644
//	.catalog.db                                 the catalog, mode 0600
//	.previews/                                  previews, which can be made again
//	.processes/                                 one lock file per living process
//	.damaged/                                   files that Repair moved aside
//
// The last four are in the images' folder unless Options.Catalog names another
// place; .previews and .processes are beside the catalog.
//
// # Who may call what
//
// Methods with an owner parameter return that owner's images only and may serve
// requests. Claim, Renew, Park, Record, Save and Missing belong to the pipeline
// that makes images. Check, Repair, Reindex and SweepPreviews work on the
// images of all owners and belong to commands of the machine's user.
package resources
