package zai

import (
	"fmt"
	"net/url"
	"strings"
)

// Region is one of the two platforms that serve the API. A key works on one of
// them only.
type Region string

// The regions, named as on the command line.
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

// Other returns the other region, to which a key may belong if r refuses it.
func (r Region) Other() Region {
	if r == China {
		return Global
	}
	return China
}

// ParseRegion returns the region with the given name. It ignores case.
func ParseRegion(name string) (Region, error) {
	switch r := Region(strings.ToLower(strings.TrimSpace(name))); r {
	case Global, China:
		return r, nil
	default:
		return "", fmt.Errorf("unknown region %q: use %q or %q", name, Global, China)
	}
}

const generationsPath = "/images/generations"

// CheckBaseURL fails if WithBaseURL does not accept a base URL.
func CheckBaseURL(raw string) error {
	_, err := parseBaseURL(raw)
	return err
}

// parseBaseURL returns the root of the API without a trailing slash. It also
// accepts the full URL of the image endpoint, which users paste from examples.
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
