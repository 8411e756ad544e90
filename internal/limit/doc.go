// Package limit bounds the resources that clients can make the server use.
// Quota refuses what does not fit, Queue makes it wait in turn, Limits is the
// table of all bounds, and QuotaFile says what each owner may spend.
package limit
