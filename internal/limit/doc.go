// Package limit bounds the resources that clients can make the server use.
// Quota refuses what does not fit, Queue makes it wait in turn, and Limits is
// the table of all bounds.
package limit
