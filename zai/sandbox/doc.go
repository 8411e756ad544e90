// Package sandbox serves the Z.AI image API locally, to try the program, for
// demonstrations and for tests. It accepts any key, needs no network and costs
// nothing. It implements the wire format of the real service, including its
// errors, and draws images that show their prompt.
//
// # Limits
//
// Like the service, it limits the requests of a model that are in flight, to
// five for the CogView models and one for glm-image, and refuses more with code
// 1302. A task is in flight until it is finished. Options.MaxConcurrent changes
// the limits.
//
// # Faults
//
// The word "sandbox:NAME" anywhere in a prompt requests a fault.
// "sandbox:NAME*2" affects only the first two requests with that prompt,
// "sandbox:NAME@2" only the second. "sandbox:delay=3s" delays the image by
// three seconds.
//
// The request is refused and not billed:
//
//	unauthorized            401, code 401
//	wrong_region            200 with the gateway's soft 404
//	no_balance              429, code 1113
//	rate_limited            429, code 1302, too many in flight
//	too_frequent            429, code 1303, too many in a short time
//	quota                   429, code 1308
//	content_blocked         400, code 1301, for the prompt
//	content_blocked_output  400, code 1301, for the image
//	invalid_argument        400, code 1214
//	upstream                500, code 1234
//	no_async                400, code 1222, from the asynchronous endpoint only
//
// The request is billed, but the response contains no usable image:
//
//	outcome_unknown         502 with a gateway's HTML page
//	hangup                  the connection closes without a response
//	no_picture              200 without an image
//	broken_json             200 with the first half of a response
//
// The asynchronous endpoint accepts the request, but the task yields no image:
//
//	task_failed             the task fails, code 1301
//	task_gone               the task is unknown, code 1214
//
// The request is billed and answered, but the response, the link or the image
// is unusual:
//
//	download                the link always responds with 404
//	late                    the link responds with 404 twice, then serves
//	page                    the link always serves a web page
//	truncated               the first download breaks off halfway
//	cut                     the link serves half of the file, without a length
//	jpeg                    a JPEG whose name ends in .png
//	b64                     the response contains the image as base64
//	filtered                the response has a content_filter result
//	huge                    a PNG of more than 9 MiB
package sandbox
