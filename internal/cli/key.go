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

// key returns the API key and the name of the variable that it comes from. Keys
// come from the environment or a file, never from a flag, because every process
// on the machine can read the flags of others.
func (p *program) key() (key, source string, err error) {
	for _, name := range []string{"ZAI_API_KEY", "Z_AI_API_KEY"} {
		// Some hosts pass on a placeholder that they did not replace.
		if key := strings.TrimSpace(p.Env(name)); key != "" && !strings.HasPrefix(key, "${") {
			return key, name, nil
		}
	}
	const variable = "ZAI_API_KEY_FILE"
	file := expandHome(p.Env(variable), p.Home)
	if file == "" {
		return "", "", nil
	}
	const hint = "It must name a readable file that contains only the key; the user sets it in the host's configuration of this server."
	key, err = readKeyFile(file)
	switch {
	case errors.Is(err, errEmptyKeyFile):
		return "", "", &jobs.KeyError{Problem: fmt.Sprintf("%s names a file without a key: %s.", variable, file), Hint: hint}
	case err != nil:
		return "", "", &jobs.KeyError{Problem: fmt.Sprintf("%s cannot be read: %v.", variable, err), Hint: hint}
	}
	return key, variable, nil
}

var errEmptyKeyFile = errors.New("the file contains no key")

// readKeyFile returns the key in a file. It returns errEmptyKeyFile if the file
// contains only white space.
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

// checkKey returns a *jobs.KeyError if a key cannot be sent in a header. The error
// names the invalid character, which is often invisible, and no other part of
// the key.
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
			Problem: fmt.Sprintf("The API key in %s cannot be used: it contains %s, which is not valid in a key.", source, found),
			Hint:    "The user must copy the key again from https://z.ai/manage-apikey/apikey-list into the host's configuration of this server, without spaces or quotation marks.",
		}
	}
	return nil
}
