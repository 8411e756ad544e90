// Package testrig provides what the tests of several packages share: the
// sandbox on a real HTTP server with a client, a library in a temporary folder,
// a pipeline that uses both, and the built program.
//
// Everything is closed at the end of the test. Nothing waits: the client
// retries requests and downloads at once and polls every few milliseconds, and
// delays that prompts request (sandbox:delay=9s) end with the test.
//
// If the tests of a package call Program or check for leaked goroutines, the
// package contains
//
//	func TestMain(m *testing.M) { testrig.Main(m) }
package testrig
