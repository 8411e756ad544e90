// Package testrig provides the environment of the tests of several packages: the
// sandbox on a real HTTP server with a client, a library in a temporary folder, a
// pipeline that uses both, and the built program.
//
// Everything is closed at the end of the test. Nothing waits: the client repeats
// requests and downloads at once and polls tasks quickly, and the delays of
// prompts (sandbox:delay=9s) end with the test.
//
// A package whose tests call Program, or that checks for leaked goroutines,
// contains
//
//	func TestMain(m *testing.M) { testrig.Main(m) }
package testrig
