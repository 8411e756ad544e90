package hostconfig

import "github.com/pelletier/go-toml/v2"

// checkTOML refuses what a host could not read either: to append to it would
// make things worse.
func checkTOML(text string) error {
	var config map[string]any
	return toml.Unmarshal([]byte(text), &config)
}
