package terminal

import (
	"slices"
	"strings"
)

// Protocol is a way to draw images in a terminal.
type Protocol string

// The protocols.
const (
	None  Protocol = "none"  // the terminal draws no images
	Kitty Protocol = "kitty" // https://sw.kovidgoyal.net/kitty/graphics-protocol/
	ITerm Protocol = "iterm" // https://iterm2.com/documentation-images.html
)

// Auto is the setting of Choose that leaves the choice to Detect.
const Auto = "auto"

// Choose returns the protocol for a setting: Auto, or the name of a protocol. It returns
// None where Hidden reports true, whatever the setting is.
func Choose(setting string, env func(name string) string) Protocol {
	if Hidden(env) {
		return None
	}
	switch p := Protocol(setting); {
	case setting == Auto:
		return Detect(env)
	case p == Kitty, p == ITerm:
		return p
	}
	return None
}

// Hidden reports whether no image can reach the user although the output is a terminal:
// a multiplexer or a CI system is between them, or the terminal is a dumb one.
func Hidden(env func(name string) string) bool {
	for _, name := range []string{"TMUX", "STY", "ZELLIJ"} { // STY is the variable of screen
		if env(name) != "" {
			return true
		}
	}
	if ci := strings.ToLower(env("CI")); ci != "" && ci != "0" && ci != "false" {
		return true
	}
	kind := strings.ToLower(env("TERM"))
	return kind == "dumb" || strings.HasPrefix(kind, "screen") || strings.HasPrefix(kind, "tmux")
}

// Detect returns the protocol that the terminal understands, by the variables that
// terminals set. It does not ask the terminal, because that would consume what the user
// has typed ahead. If it is wrong, terminals ignore the sequence.
//
// Programs inherit the variables of the terminal that an outer terminal was started
// from. Each terminal sets TERM, and most set TERM_PROGRAM, so these come first.
func Detect(env func(name string) string) Protocol {
	if Hidden(env) {
		return None
	}
	kind := strings.ToLower(env("TERM"))
	if slices.Contains([]string{"xterm-kitty", "xterm-ghostty"}, kind) {
		return Kitty
	}
	switch program := strings.ToLower(env("TERM_PROGRAM")); program {
	case "":
	case "kitty", "ghostty":
		return Kitty
	case "iterm.app", "wezterm", "vscode", "warpterminal", "mintty", "rio":
		return ITerm
	default:
		return None
	}
	switch {
	case env("KITTY_WINDOW_ID") != "" || drawingKonsole(env("KONSOLE_VERSION")):
		return Kitty
	case env("LC_TERMINAL") == "iTerm2": // ssh passes this variable on
		return ITerm
	}
	return None
}

// drawingKonsole reports whether a version of Konsole draws images. They are numbers
// like 220401, for 22.04.1, the first series that does.
func drawingKonsole(version string) bool {
	if len(version) != len("220400") || strings.ContainsFunc(version, func(r rune) bool { return r < '0' || r > '9' }) {
		return false
	}
	return version >= "220400"
}
