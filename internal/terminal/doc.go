// Package terminal draws images in terminals that have a protocol for it: the one of
// kitty or the one of iTerm2.
package terminal
