package cli

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/textfile"
)

// usableKey returns the API key, "" if no key is set. It fails with a
// *jobs.KeyError if the key is set but cannot be used.
func (p *program) usableKey() (string, error) {
	key, source, err := p.key()
	if err != nil {
		return "", err
	}
	return key, checkKey(key, source)
}

// key reads the API key and returns the variable that it comes from. Secrets
// come from the environment or a file, never from a flag: every process on the
// machine can read flags.
func (p *program) key() (key, source string, err error) {
	for _, name := range []string{"ZAI_API_KEY", "Z_AI_API_KEY"} {
		// A host that does not replace its own placeholder passes it on.
		if key := strings.TrimSpace(p.Env(name)); key != "" && !strings.HasPrefix(key, "${") {
			return key, name, nil
		}
	}
	const variable = "ZAI_API_KEY_FILE"
	file := expandHome(p.Env(variable), p.Home)
	if file == "" {
		return "", "", nil
	}
	const hint = "It must name a readable file that holds only the key; the user sets it in the host's configuration of this server."
	key, err = readKeyFile(file)
	switch {
	case errors.Is(err, errEmptyKeyFile):
		return "", "", &jobs.KeyError{Problem: fmt.Sprintf("%s names a file without a key: %s.", variable, file), Hint: hint}
	case err != nil:
		return "", "", &jobs.KeyError{Problem: fmt.Sprintf("%s cannot be read: %v.", variable, err), Hint: hint}
	}
	return key, variable, nil
}

var errEmptyKeyFile = errors.New("the file holds no key")

// readKeyFile returns the key in a file. It fails with errEmptyKeyFile if there
// is nothing but white space in it.
func readKeyFile(file string) (string, error) {
	text, err := textfile.Read(file)
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(text)
	if key == "" {
		return "", errEmptyKeyFile
	}
	return key, nil
}

// checkKey rejects a key that cannot be sent in a header. The error names the
// offending character, which is often invisible, and nothing else of the key.
func checkKey(key, source string) error {
	for _, r := range key {
		if r > ' ' && r <= '~' {
			continue
		}
		found := fmt.Sprintf("the character U+%04X", r)
		if unicode.IsSpace(r) {
			found = "white space"
		}
		return &jobs.KeyError{
			Problem: fmt.Sprintf("The API key in %s cannot be used: it contains %s, which no key does.", source, found),
			Hint:    "The user copies the key again from https://z.ai/manage-apikey/apikey-list, without spaces and quotation marks, into the host's configuration of this server.",
		}
	}
	return nil
}
