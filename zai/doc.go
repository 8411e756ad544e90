// Package zai is a client for the Z.AI image generation API on both of its
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
// idempotency keys. The client therefore ensures that the service accepts at
// most one POST per image:
//
//   - GenerateImage and Submit repeat a POST only if the service provably did
//     not accept the previous one: the request was not sent in full, or the
//     service itself (not a gateway) refused it with the code of a temporary
//     condition. They make at most four attempts. Between attempts they wait up
//     to 1, 2 and 4 seconds with full jitter, or as long as Retry-After asks (at
//     most 30 seconds). They start no attempt that the deadline could cut short.
//   - If the service refuses a request because too many are in flight, the error
//     is returned at once, see Error.TooManyInFlight.
//   - POSTs use HTTP/1.1 with a new connection each, because net/http repeats
//     requests over HTTP/2 and on reused connections. Redirects are not followed.
//   - If it is not certain that a request was refused, the error is of
//     KindOutcomeUnknown: the image may have been made and billed. The caller
//     decides whether to pay again.
//
// Error.NotAccepted is set if a failed request is certain to be free. Await,
// Download and CheckKey are free and can be called again.
//
// A response with a 2xx status is a success if it contains an image in any
// form, because gateways in front of the service change the form. Error.Answer
// has the beginning of a response that was not understood.
//
// # The key
//
// The key is sent to the base URL only, never to image hosts and not after a
// redirect. Printing a Client does not print the key. The key is removed from
// the service's messages, codes and ids before this package returns or logs
// them.
//
// # Downloads
//
// Links must use https on port 443, have no user, and lead to a public address,
// which is checked when the connection is made. Links to the base URL's own
// origin may use any scheme, port and address, because local gateways and the
// sandbox serve files from there.
//
// A download may have at most 32 MiB and three redirects, may take at most two
// minutes, and must deliver at least 10 KiB every 10 seconds. Because links
// work only some seconds after the response, a download is repeated after 1, 2
// and 4 seconds unless the reason for its failure is permanent. The type of a
// file is detected from its first bytes. A file that ends before its image does
// is an error.
package zai
