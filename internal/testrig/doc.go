// Package testrig provides what tests of several packages run against: the
// sandbox on a real HTTP server with a client of it, a library in a temporary
// folder, a pipeline on both, and the built program.
//
// Everything ends with the test that asked for it. Nothing waits: the client
// repeats requests and downloads at once and polls tasks quickly, and delays that a prompt asks for
// (sandbox:delay=9s) end with the test.
//
// A package whose tests call Program, or that checks for leaked goroutines,
// has
//
//	func TestMain(m *testing.M) { testrig.Main(m) }
package testrig
