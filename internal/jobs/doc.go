// Package jobs generates, downloads and saves images that are paid for. Each
// step is written to the catalog before the next one starts, so that a crash
// never loses track of what was paid for: the next process reads it from the
// catalog.
//
//  1. Start takes a ticket for each image in the queue of the model. One
//     transaction joins the images of an equal call, reserves the money for the
//     others and writes those as "queued", or as "submitted" if their ticket has
//     a slot.
//  2. A queued image waits for a slot. Until its request is sent it can be
//     abandoned free of charge: it becomes "failed" and its money is released.
//  3. "submitted" is written before the request is sent. The request is sent
//     again only if Z.AI certainly did not accept it; if it was rejected because
//     too many are in flight, the image becomes "queued" again until then. If
//     the outcome cannot be known, the image becomes "unknown" and stays
//     charged.
//  4. "answered" is written with the link of the image before the download
//     starts.
//  5. The image is downloaded, and "saved" is written once the file is durable.
//     A failed download leaves the image "answered" and is repeated later.
//  6. A Delivery records that a client received the result. For up to 15 minutes
//     before that, an equal call joins the image instead of paying for a new
//     one.
//
// The process that works on an image holds a lease on it. RunRecovery resumes
// images whose process died. It repeats downloads and polls, which are free,
// and never sends a request for an image. Follow waits for an image even if
// another process works on it.
package jobs
