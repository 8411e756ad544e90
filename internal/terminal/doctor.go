package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"zai-image-mcp/internal/hostconfig"
	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// Doctor looks whether the program can work as it is set up. It makes no
// picture and costs nothing.
type Doctor struct {
	Client  *zai.Client // nil without a key
	BadKey  error       // why there is no Client, if a key was given
	Other   *zai.Client // the same key on the other platform; nil when that cannot be
	Library *resources.Library
	Machine hostconfig.Machine
	// Connect makes a client for the key of a host's configuration; region and
	// baseURL may be "".
	Connect func(key, region, baseURL string) (*zai.Client, error)
	Out     io.Writer
}

// Examine prints one line for each thing. It fails with ErrProblems when
// something has to be mended.
func (d Doctor) Examine(ctx context.Context) error {
	failed, found := false, d.found()
	for _, look := range []struct {
		name string
		at   func(context.Context, []host) (string, error)
	}{{"key", d.key}, {"folder", d.folder}, {"catalog", d.catalog}, {"hosts", d.hosts}} {
		said, err := look.at(ctx, found)
		mark := "ok"
		if err != nil {
			mark, said, failed = "PROBLEM", err.Error(), true
		}
		if _, err := fmt.Fprintf(d.Out, "%-8s %-8s %s\n", mark, look.name, plaintext.Line(said, 0)); err != nil {
			return err
		}
	}
	if failed {
		return ErrProblems
	}
	return nil
}

func (d Doctor) key(ctx context.Context, found []host) (string, error) {
	if d.BadKey != nil {
		return "", d.BadKey
	}
	if d.Client == nil && slices.ContainsFunc(found, func(h host) bool { return h.key != "" }) {
		return "none in this environment; the hosts have their own, see below", nil
	}
	if d.Client == nil {
		return "", errors.New("none here; set ZAI_API_KEY or ZAI_API_KEY_FILE to a key from https://z.ai/manage-apikey/apikey-list")
	}
	err := d.Client.CheckKey(ctx)
	if err == nil {
		return fmt.Sprintf("accepted by region %s at %s", d.Client.Region(), d.Client.BaseURL()), nil
	}
	if errors.Is(err, zai.KindUnauthorized) && d.Other != nil && d.Other.CheckKey(ctx) == nil {
		return "", fmt.Errorf("refused by region %s but accepted by %s: set --region %s (ZAI_IMAGE_REGION)", d.Client.Region(), d.Other.Region(), d.Other.Region())
	}
	return "", inWords(err, d.Client)
}

// inWords says why a key cannot be used.
func inWords(err error, client *zai.Client) error {
	if errors.Is(err, zai.KindOutcomeUnknown) {
		return fmt.Errorf("%s gives no answer that Z.AI would give; is something in between?", client.BaseURL())
	}
	if service, ok := errors.AsType[*zai.Error](err); ok {
		message, hint := service.Explain()
		return errors.New(message + " " + hint)
	}
	return err
}

func (d Doctor) folder(context.Context, []host) (string, error) {
	if err := d.Library.Writable(); err != nil {
		return "", err
	}
	return "pictures can be written to " + d.Library.Folder(), nil
}

func (d Doctor) catalog(ctx context.Context, _ []host) (string, error) {
	if !d.Library.Exists() {
		return "none yet, the first picture makes it", nil
	}
	report, err := d.Library.Check(ctx, false, nil)
	if err != nil {
		return "", err
	}
	if n := len(report.Problems); n > 0 {
		return "", fmt.Errorf("%d problems with %d pictures; see images check", n, report.Pictures)
	}
	return fmt.Sprintf("%d pictures, no problems", report.Pictures), nil
}
