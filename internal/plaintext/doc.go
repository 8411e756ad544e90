// Package plaintext makes text of unknown origin safe to print. Prompts, file
// names and messages may contain sequences that change a terminal's title or
// clipboard, hide lines, or change the direction of the surrounding text.
package plaintext
