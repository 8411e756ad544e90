package hostconfig

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// masked shows an entry to whoever is asked whether it may go, without what may
// be secret: of most fields only that they are there.
func masked(entry map[string]any) string {
	if entry == nil {
		return ""
	}
	shown := map[string]any{}
	for name, value := range entry {
		switch value := value.(type) {
		case map[string]any:
			hidden := map[string]any{}
			for variable := range value {
				hidden[variable] = "***"
			}
			shown[name] = hidden
		case []any:
			shown[name] = maskedList(value)
		case string:
			shown[name] = "***"
			if slices.Contains([]string{"type", "command", "url", "httpUrl", "serverUrl"}, name) {
				shown[name] = maskedText(value, "")
			}
		default:
			shown[name] = value
		}
	}
	text, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		return "?"
	}
	return string(text)
}

func maskedList(list []any) []any {
	shown, before := make([]any, len(list)), ""
	for i, item := range list {
		shown[i] = "***"
		text, ok := item.(string)
		if ok {
			shown[i] = maskedText(text, before)
		}
		before = text
	}
	return shown
}

var (
	// telling are flags before a value that is nobody's business.
	telling = regexp.MustCompile(`(?i)^-+([^=]*(header|key|token|secret|auth|pass|env|user)[^=]*|e|h|u)$`)
	// assigned is the part of a text before a value.
	assigned = regexp.MustCompile(`^([^=:\s]+)[=:].`)
)

// maskedText shows flags, paths and plain addresses; of what has a value only
// its name.
func maskedText(text, before string) string {
	if address, err := url.Parse(text); err == nil && address.Host != "" {
		if address.RawQuery != "" {
			address.RawQuery = "***"
		}
		return (&url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path, RawQuery: address.RawQuery}).String()
	}
	windowsPath := len(text) > 2 && text[1] == ':' && strings.ContainsAny(text[2:3], `\/`)
	switch name := assigned.FindStringSubmatch(text); {
	case name != nil && !windowsPath:
		return name[1] + "***"
	case telling.MatchString(before):
		return "***"
	case strings.ContainsAny(text, " \t") && !windowsPath && !strings.HasPrefix(text, "/"):
		return strings.Fields(text)[0] + " ***"
	}
	return text
}
