package cli

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"zai-image-mcp/internal/web"
)

// logFlags are the flags that all commands share.
type logFlags struct {
	LogLevel  choice `help:"Minimum level of messages logged to stderr: debug, info, warn, error." enum:"debug,info,warn,error" default:"info" env:"ZAI_IMAGE_LOG_LEVEL"`
	LogFormat choice `help:"Format of the log: text or json." enum:"text,json" default:"text" env:"ZAI_IMAGE_LOG_FORMAT"`
}

// libraryFlags name the image library.
type libraryFlags struct {
	Store   filePath `help:"Folder for images (default: the user's pictures folder + zai-images), or S3 bucket, as s3://bucket/prefix?endpoint=URL&region=NAME&path_style=true. Credentials are read like those of the AWS tools." env:"ZAI_IMAGE_STORE" placeholder:"FOLDER"`
	Catalog filePath `help:"SQLite file (default: .catalog.db in the folder) or PostgreSQL database, as postgres://user@host/database. Set a URL with a password in the variable, or name a file that contains it in ZAI_IMAGE_CATALOG_FILE." env:"ZAI_IMAGE_CATALOG" placeholder:"FILE"`
}

// upstreamFlags configure how images are generated.
type upstreamFlags struct {
	Region        choice      `help:"Platform that issued the key: global (api.z.ai) or china (open.bigmodel.cn)." enum:"global,china" default:"global" env:"ZAI_IMAGE_REGION"`
	BaseURL       string      `name:"base-url" help:"Another endpoint with the same API; its own origin is trusted for image downloads." env:"ZAI_BASE_URL" placeholder:"URL"`
	Watermark     choice      `help:"Z.AI's visible watermark: keep sends nothing; off asks for images without it, which Z.AI may refuse or ignore." enum:"keep,off" default:"keep" env:"ZAI_IMAGE_WATERMARK"`
	Sandbox       bool        `help:"Use the built-in sandbox instead of Z.AI, without a key or cost; every result is marked." env:"ZAI_IMAGE_SANDBOX"`
	MaxConcurrent concurrency `help:"Maximum number of requests in flight for the API key; others wait in turn. auto = the limit of each model (cogview-4-250304 5, glm-image 1); a number applies to every model." default:"auto" env:"ZAI_IMAGE_MAX_CONCURRENT"`
	DailyBudget   dollars     `help:"Maximum US dollars per UTC day and owner; 0 = no limit." default:"5" env:"ZAI_IMAGE_DAILY_BUDGET"`
}

// watermarkOff is the value of --watermark that asks for images without it.
const watermarkOff = "off"

// webFlags configure the transports http and sse.
type webFlags struct {
	Listen     string   `help:"Address for http and sse; port 0 picks a free port, which the log names." default:"127.0.0.1:8787" env:"ZAI_IMAGE_LISTEN"`
	PublicURL  string   `name:"public-url" help:"Base URL of download links, also accepted as Host and Origin of requests (default: from --listen)." env:"ZAI_IMAGE_PUBLIC_URL" placeholder:"URL"`
	AuthTokens filePath `help:"File of name:token lines for http and sse; the name is the owner of the images." env:"ZAI_IMAGE_AUTH_TOKENS" placeholder:"FILE"`
	oidcFlags
	Quotas       filePath      `help:"File of what each owner may spend over http and sse, as lines like alice budget=5 pictures=50; read-only and refuse also work." env:"ZAI_IMAGE_QUOTAS" placeholder:"FILE"`
	AllowOrigin  []string      `help:"Another browser origin that may use the server; repeatable." env:"ZAI_IMAGE_ALLOW_ORIGIN" placeholder:"ORIGIN"`
	LinkLifetime time.Duration `help:"Lifetime of download links." default:"24h" env:"ZAI_IMAGE_LINK_LIFETIME"`
}

// oidcFlags configure which access tokens are accepted over http and sse.
type oidcFlags struct {
	OIDCIssuer     string   `name:"oidc-issuer" help:"OpenID provider or OAuth server whose access tokens let callers in over http and sse; https, or http on this machine." env:"ZAI_IMAGE_OIDC_ISSUER" placeholder:"URL"`
	OIDCAudience   []string `name:"oidc-audience" help:"Audience that a token has to name; repeatable (default: the address of /mcp, and of /sse, under --public-url)." env:"ZAI_IMAGE_OIDC_AUDIENCE" placeholder:"AUDIENCE"`
	OIDCOwnerClaim string   `name:"oidc-owner-claim" help:"Claim whose value names the owner, like email or oid." default:"sub" env:"ZAI_IMAGE_OIDC_OWNER_CLAIM" placeholder:"CLAIM"`
	OIDCScopes     string   `name:"oidc-scopes" help:"Scope that a token needs and, after a comma, the one that it needs to generate images, like images:read,images:generate." env:"ZAI_IMAGE_OIDC_SCOPES" placeholder:"SCOPES"`
	OIDCClientID   string   `name:"oidc-client-id" help:"Public client at the issuer with which people sign in to the gallery; its redirect URI is /gallery/callback under --public-url." env:"ZAI_IMAGE_OIDC_CLIENT_ID" placeholder:"ID"`
}

// issuer returns the settings for the issuer.
func (c oidcFlags) issuer(log *slog.Logger) web.IssuerConfig {
	return web.IssuerConfig{
		URL: c.OIDCIssuer, Audiences: c.OIDCAudience, OwnerClaim: c.OIDCOwnerClaim, Scopes: c.OIDCScopes, ClientID: c.OIDCClientID,
		HTTP: &http.Client{}, Now: time.Now, Log: log,
	}
}

// filePath is the path of a file or folder. A leading ~/ is replaced by the
// user's home folder, because shells do not expand it in --flag=~/x and hosts do
// not expand it in variables.
type filePath string

// pathMapper returns a kong mapper that expands the home folder in a filePath.
func pathMapper(home string) kong.Mapper {
	return kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		var name string
		if err := ctx.Scan.PopValueInto("value", &name); err != nil {
			return err
		}
		target.SetString(expandHome(name, home))
		return nil
	})
}

// hasVariable reports whether a path begins with a variable that neither the
// shell nor the host has replaced. With such a path, images would be saved in a
// folder with the name of the variable, below the current folder.
func (p filePath) hasVariable() bool {
	name := string(p)
	return strings.HasPrefix(name, "$") || strings.HasPrefix(name, "{env:") || strings.HasPrefix(name, "%") && strings.Count(name, "%") > 1
}

// absolute returns the absolute path, or "" if p is empty.
func (p filePath) absolute() (string, error) {
	if p == "" {
		return "", nil
	}
	return filepath.Abs(string(p))
}

// choice is one of a few words. Case and surrounding white space are ignored,
// because desktop hosts have only free text fields.
type choice string

// UnmarshalText implements encoding.TextUnmarshaler for kong.
func (c *choice) UnmarshalText(text []byte) error {
	*c = choice(strings.ToLower(strings.TrimSpace(string(text))))
	return nil
}

// dollars is an amount of money in US dollars.
type dollars float64

// UnmarshalText implements encoding.TextUnmarshaler for kong. It rejects commas,
// which are decimal points in some countries and separate thousands in others.
func (d *dollars) UnmarshalText(text []byte) error {
	amount, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil {
		return fmt.Errorf("%q is not an amount of dollars like 5 or 0.50", text)
	}
	*d = dollars(amount)
	return nil
}

// concurrency is a maximum number of requests in flight, 0 for the limits in the
// model table.
type concurrency int

// UnmarshalText implements encoding.TextUnmarshaler for kong.
func (c *concurrency) UnmarshalText(text []byte) error {
	word := strings.ToLower(strings.TrimSpace(string(text)))
	if word == "auto" {
		*c = 0
		return nil
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is neither auto nor a whole number of at least 1", text)
	}
	*c = concurrency(n)
	return nil
}

// expandHome replaces a leading ~ or ~/ by the home folder. It returns other
// names unchanged, including the home folders of other users (~name), and all
// names if home is "".
func expandHome(name, home string) string {
	rest, found := strings.CutPrefix(name, "~")
	if !found || home == "" || rest != "" && !os.IsPathSeparator(rest[0]) {
		return name
	}
	return filepath.Join(home, rest)
}

// warnOfRelative logs the absolute paths that relative ones are resolved to,
// because hosts start servers in any folder, often the user's project.
func warnOfRelative(log *slog.Logger, c libraryFlags) {
	for flag, path := range map[string]filePath{"--store": c.Store, "--catalog": c.Catalog} {
		if full, err := path.absolute(); err == nil && path != "" && !filepath.IsAbs(string(path)) && !isURL(string(path)) {
			log.Warn("resolved a relative path against the folder that the host started the server in", "flag", flag, "given", string(path), "path", full)
		}
	}
}
