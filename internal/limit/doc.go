// Package limit bounds what clients can make the server hold. Quota refuses
// what does not fit, Queue makes it wait in turn, and Limits is the table of
// all bounds.
package limit
