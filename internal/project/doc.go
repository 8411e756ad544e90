// Package project writes files into the user's project: only below its folder, never over a
// file of others, and never half a file.
package project
