// Package jobs generates, downloads and saves images that are paid for. Each
// step is written to the catalog before the next one starts, so that a crash
// never loses track of what was paid for: the next process reads it from the
// catalog.
//
//  1. Start reserves images. One transaction of the catalog joins the images of an
//     equal call, reserves the money for the others, writes those as "queued", and
//     makes them "submitted" if they have a slot. The slots of the API key are
//     shared by all processes on the catalog.
//  2. A queued image waits until the catalog gives it a slot. Until its request is
//     sent it can be abandoned free of charge: it becomes "failed" and its money is
//     released.
//  3. "submitted" is written before the request is sent, and "polling" when it was
//     accepted as a task. The request is sent again only if Z.AI certainly did not
//     accept it; if it was rejected because too many are in flight, the image
//     becomes "queued" again until then, and keeps its slot. If the outcome cannot
//     be known, the image becomes "unknown", or "poll_failed" if its task can be
//     polled again later, and stays charged.
//  4. "answered" is written with the link of the image before the download
//     starts. The slot is free.
//  5. The image is downloaded, and "saved" is written once the file is durable.
//     After a failed download the image is "fetch_failed", and the download is
//     repeated later, or "lost" if it has no link.
//  6. A Delivery records that a client received the result. For up to 15 minutes
//     before that, an equal call joins the image instead of paying for a new
//     one.
//
// A job moves only by Pipeline.step, and Pipeline.settle alone decides what an
// error becomes.
//
// The process that works on an image holds a lease on it. RunRecovery resumes
// images whose process died. It looks for files that were saved but not recorded,
// repeats downloads and polls, which are free, and never sends a request for an
// image. Follow waits for an image even if another process works on it. One watcher
// per process reads what other processes changed: it wakes calls that follow their
// images and jobs that wait for slots, and reports the images that they finished.
package jobs
