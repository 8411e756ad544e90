// Package jobs runs the life of one paid image. Each step is written to the
// catalog before the next one starts, so that a crash never loses track of what
// was paid for: the next process reads it from the catalog.
//
//  1. Start takes a ticket in the queue of the model. One transaction joins an
//     equal call or reserves the money and writes the image as "queued", or as
//     "submitted" if the ticket has a slot.
//  2. A queued image waits for a slot. Until its request is sent it can be
//     abandoned free of charge: it becomes "failed" and its money is released.
//  3. "submitted" is written before the request is sent. A request that Z.AI
//     rejects because too many are in flight was not accepted: the image becomes
//     "queued" again. Any other request is sent at most once; if its outcome
//     cannot be known, the image becomes "unknown" and stays charged.
//  4. "answered" is written with the link of the image before the download.
//  5. The download is saved: "saved" is written when the file is durable. A
//     failed download leaves the image "answered" and is repeated later.
//  6. A Delivery records that a client received the result. Until then an equal
//     call joins the image instead of paying for a new one.
//
// Each image has a lease of the process that works on it. RunRecovery resumes
// images whose process died: downloads and polls are repeated, which is free,
// and nothing is sent twice. Follow waits for an image whichever process works
// on it.
package jobs
