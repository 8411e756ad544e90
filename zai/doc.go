// Package zai is a client of the Z.AI image generation API on both of its
// platforms (docs.z.ai and docs.bigmodel.cn).
//
// GenerateImage requests an image and waits for it; Submit and Await do the
// same in two steps for models with an asynchronous endpoint. Download then
// fetches the image file from the link in the response. FindModel and the
// methods of Model check arguments without a request.
//
// # Money
//
// A request is billed once the service accepts it, and the API has no
// idempotency keys. Therefore at most one POST per image is accepted:
//
//   - GenerateImage and Submit repeat a POST only if the service provably did
//     not accept the previous one: the request was not sent in full, or the
//     service refused it in its own words with a code that stands for a
//     temporary condition. They make at most four attempts, wait 1, 2 and 4
//     seconds with full jitter or as long as Retry-After asks (30 seconds at
//     most), and start no attempt that the deadline could cut short.
//   - A refusal because too many requests are in flight is returned at once,
//     see Error.TooManyInFlight.
//   - POSTs go over HTTP/1.1 with a connection for each of them, because
//     net/http repeats requests over HTTP/2 and on reused connections.
//     Redirects are not followed.
//   - If it is not certain that a request was refused, the error is of
//     KindOutcomeUnknown: the image may have been made and billed. The caller
//     decides whether to pay again.
//
// Error.NotAccepted reports whether a failed request is certain to be free.
// Await, Download and CheckKey are free and can be called again.
//
// A response that contains an image anywhere is a success, whatever its form:
// gateways in front of the service change it. Error.Answer keeps the beginning
// of a response that was not understood.
//
// # The key
//
// The key is sent to the base URL only, never to image hosts and not after a
// redirect. A Client does not print it, and it is removed from the messages,
// codes and ids of the service that this package returns or logs.
//
// # Downloads
//
// Links must be https without user or port, and lead to a public address,
// which is checked when the connection is made. The base URL's own origin is
// exempt, as local gateways and the sandbox serve files from there. A download
// is limited to 32 MiB, two minutes, at least 10 KiB in 10 seconds and three
// redirects. "Not found" is tried again after 1, 2 and 4 seconds, because links
// work only some seconds after the response. The type of a file is recognized
// by its first bytes, and a file that ends before its image does is an error.
package zai
