package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/internal/mcpserver"
	"zai-image-mcp/internal/textfile"
	"zai-image-mcp/zai"
	"zai-image-mcp/zai/sandbox"
)

// client makes the client of the API. It is nil without a key, and the error is
// a *jobs.KeyError when a key is set that cannot be used: a server starts all
// the same, and explains at the first call what is wrong.
func (p *program) client(region zai.Region, c upstreamFlags, log *slog.Logger, options ...zai.Option) (*zai.Client, error) {
	options = append(options, zai.WithRegion(region), zai.WithLogger(log), zai.WithUserAgent(mcpserver.Name+"/"+version))
	key, source, err := p.key()
	if c.Sandbox {
		base, startErr := sandbox.Start(context.WithoutCancel(p.ctx), "127.0.0.1:0", sandbox.Options{Delay: sandbox.Realistic(8)})
		if startErr != nil {
			return nil, startErr
		}
		key, err, c.BaseURL = "sandbox", nil, base
	}
	if c.BaseURL != "" {
		if err := zai.CheckBaseURL(c.BaseURL); err != nil {
			return nil, usageOf("--base-url", err)
		}
		options = append(options, zai.WithBaseURL(c.BaseURL))
	}
	if err == nil {
		err = checkKey(key, source)
	}
	if bad, ok := errors.AsType[*jobs.KeyError](err); ok {
		log.Warn("no usable API key: images cannot be made", "problem", bad.Problem)
		return nil, bad
	}
	if key == "" {
		log.Warn("no API key: images cannot be made until ZAI_API_KEY is set")
		return nil, nil //nolint:nilnil // nil is the client of a program without key
	}
	return zai.NewClient(key, options...)
}

// key reads the API key and says where it was found. Secrets come from the
// environment or a file, never from a flag: flags are seen by every process on
// the machine.
func (p *program) key() (key, source string, err error) {
	for _, name := range []string{"ZAI_API_KEY", "Z_AI_API_KEY"} {
		// A host that does not fill in its own placeholder passes it on.
		if key := strings.TrimSpace(p.env(name)); key != "" && !strings.HasPrefix(key, "${") {
			return key, name, nil
		}
	}
	const variable = "ZAI_API_KEY_FILE"
	file := expandHome(p.env(variable))
	if file == "" {
		return "", "", nil
	}
	const hint = "It must name a readable file that holds the key alone; the user sets it in the host's configuration of this server."
	text, err := textfile.Read(file)
	if err != nil {
		return "", "", &jobs.KeyError{Problem: fmt.Sprintf("%s cannot be read: %v.", variable, err), Hint: hint}
	}
	if key = strings.TrimSpace(text); key == "" {
		return "", "", &jobs.KeyError{Problem: fmt.Sprintf("%s names a file without a key: %s.", variable, file), Hint: hint}
	}
	return key, variable, nil
}

// checkKey refuses a key that could not be sent. It names the character that
// is wrong, which often cannot be seen, and nothing else of the key.
func checkKey(key, source string) error {
	for _, r := range key {
		if r > ' ' && r <= '~' {
			continue
		}
		wrong := fmt.Sprintf("the character U+%04X", r)
		if unicode.IsSpace(r) {
			wrong = "white space"
		}
		return &jobs.KeyError{
			Problem: fmt.Sprintf("The API key in %s cannot be used: it holds %s, which no key does.", source, wrong),
			Hint:    "The user copies the key again from https://z.ai/manage-apikey/apikey-list, without spaces and quotation marks, into the host's configuration of this server.",
		}
	}
	return nil
}
