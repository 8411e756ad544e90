package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// fetchTimeout limits a fetch of the metadata and keys of an issuer.
const fetchTimeout = 5 * time.Second

// discovery finds the keys of an issuer.
type discovery struct {
	issuer string
	client *http.Client
}

func newDiscovery(issuer string, client *http.Client) discovery {
	const maxRedirects = 3
	limited := *client
	limited.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || !trustworthy(r.URL) {
			return fmt.Errorf("redirect to %s is not followed", r.URL.Redacted())
		}
		return nil
	}
	return discovery{issuer, &limited}
}

// fetch returns the keys that the issuer has now.
func (d discovery) fetch(ctx context.Context) (*keySet, error) {
	var failures []error
	for _, address := range metadataAddresses(d.issuer) {
		found, err := d.metadata(ctx, address)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		keys, err := d.keys(ctx, found.JWKSURI)
		if err != nil {
			return nil, err
		}
		return &keySet{metadata: found, keys: keys}, nil
	}
	return nil, errors.Join(failures...)
}

// metadataAddresses returns the places of an issuer's metadata.
// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
// https://www.rfc-editor.org/rfc/rfc8414#section-3
func metadataAddresses(issuer string) []string {
	issuer = strings.TrimSuffix(issuer, "/")
	scheme, rest, _ := strings.Cut(issuer, "://")
	host, path, found := strings.Cut(rest, "/")
	if found {
		path = "/" + path
	}
	return []string{
		issuer + "/.well-known/openid-configuration",
		scheme + "://" + host + "/.well-known/oauth-authorization-server" + path,
	}
}

// metadata is what an issuer says about itself.
// https://www.rfc-editor.org/rfc/rfc8414#section-2
type metadata struct {
	Issuer        string `json:"issuer"`
	JWKSURI       string `json:"jwks_uri"`
	Authorization string `json:"authorization_endpoint"` // "" if nobody can sign in there
	Token         string `json:"token_endpoint"`         // the same
	NamesIssuer   bool   `json:"authorization_response_iss_parameter_supported"`
}

// metadata returns the metadata at an address. The issuer must be the configured one:
// otherwise anybody whose metadata are read by mistake could vouch for tokens. Endpoints
// to sign in at are left out if they are not trustworthy, since tokens can be checked
// without them.
func (d discovery) metadata(ctx context.Context, address string) (metadata, error) {
	text, err := d.get(ctx, address)
	if err != nil {
		return metadata{}, err
	}
	var found metadata
	if err := json.Unmarshal(text, &found); err != nil {
		return metadata{}, fmt.Errorf("%s: %w", address, err)
	}
	if !sameIssuer(found.Issuer, d.issuer) {
		return metadata{}, fmt.Errorf("%s: the issuer is %q, not %q", address, found.Issuer, d.issuer)
	}
	if !trustworthyAddress(found.JWKSURI) {
		return metadata{}, fmt.Errorf("%s: jwks_uri is %q, which is not a URL with https, or with http on this machine", address, found.JWKSURI)
	}
	for _, endpoint := range []*string{&found.Authorization, &found.Token} {
		if !trustworthyAddress(*endpoint) {
			*endpoint = ""
		}
	}
	return found, nil
}

func trustworthyAddress(address string) bool {
	u, err := url.Parse(address)
	return err == nil && trustworthy(u)
}

func (d discovery) keys(ctx context.Context, address string) ([]jose.JSONWebKey, error) {
	text, err := d.get(ctx, address)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return keys, nil
}

func (d discovery) get(ctx context.Context, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	response, err := d.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, response.Status)
	}
	return readDocument(response, address)
}

// readDocument reads the body of a response.
func readDocument(response *http.Response, address string) ([]byte, error) {
	const maxDocument = 1 << 20
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	if len(text) > maxDocument {
		return nil, fmt.Errorf("%s: larger than 1 MiB", address)
	}
	return text, nil
}
