package zai

import (
	"fmt"
	"net/url"
	"strings"
)

// Region is one of the two platforms that serve the API. Each has keys of its
// own.
type Region string

// The regions, with the names the command line uses.
const (
	Global Region = "global" // api.z.ai
	China  Region = "china"  // open.bigmodel.cn
)

// BaseURL returns the root of the region's API
// (docs.z.ai/api-reference/introduction, docs.bigmodel.cn/cn/api/introduction).
func (r Region) BaseURL() string {
	if r == China {
		return "https://open.bigmodel.cn/api/paas/v4"
	}
	return "https://api.z.ai/api/paas/v4"
}

// Other returns the region that a key may belong to if this one refuses it.
func (r Region) Other() Region {
	if r == China {
		return Global
	}
	return China
}

// ParseRegion parses the names of the command line, in any case.
func ParseRegion(name string) (Region, error) {
	switch r := Region(strings.ToLower(strings.TrimSpace(name))); r {
	case Global, China:
		return r, nil
	default:
		return "", fmt.Errorf("unknown region %q: use %q or %q", name, Global, China)
	}
}

const generationsPath = "/images/generations"

// CheckBaseURL fails if WithBaseURL does not accept an address.
func CheckBaseURL(raw string) error {
	_, err := parseBaseURL(raw)
	return err
}

// parseBaseURL accepts the root of the API with or without a trailing slash, and
// the full address of the image endpoint, which users paste from examples.
func parseBaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil, fmt.Errorf("base URL %q: not a URL", raw)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("base URL %q: want https://host/path", u.Redacted())
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path} // the rest may be secret
		return nil, fmt.Errorf("base URL %q: user, query and fragment are not allowed", bare.String())
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), generationsPath)
	u.RawPath = ""
	return u, nil
}
