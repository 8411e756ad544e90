// Command gosdk signs in at the provider with the official Go client and generates an
// image, as ../client.mjs does with other clients.
//
//	gosdk ENDPOINT ACCOUNT PROMPT [SECONDS] [SCOPE]
//
// With SECONDS it then lists images again and again, for that time. With SCOPE it asks
// for that scope only at first.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

func main() {
	o, err := run(context.Background(), append(os.Args[1:], "", "", "", "", ""))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(o); err != nil {
		os.Exit(1)
	}
}

// outcome is what happened.
type outcome struct {
	ID       string   `json:"id"`
	SignIns  int      `json:"signIns"`
	Asked    string   `json:"asked"`
	Resource string   `json:"resource"`
	Calls    int      `json:"calls"`
	Failed   []string `json:"failed"`
}

func run(ctx context.Context, args []string) (*outcome, error) {
	endpoint, account, prompt, first := args[0], args[1], args[2], args[4]
	seconds, _ := strconv.Atoi(args[3])
	o := &outcome{Failed: []string{}}
	handler, err := newHandler(o, account, first)
	if err != nil {
		return nil, err
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "accounts", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: endpoint, OAuthHandler: handler}, nil)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = session.Close() }()
	result, err := call(ctx, o, session, "generate_image", map[string]any{"prompt": prompt, "size": "512x512"})
	if err != nil {
		return nil, err
	}
	var structured struct{ Images []struct{ ID string } }
	if err := decode(result.StructuredContent, &structured); err != nil || len(structured.Images) == 0 {
		return nil, fmt.Errorf("a result without an image: %w", err)
	}
	o.ID = structured.Images[0].ID
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		if _, err := call(ctx, o, session, "list_images", map[string]any{}); err != nil {
			o.Failed = append(o.Failed, err.Error())
		}
	}
	return o, nil
}

func call(ctx context.Context, o *outcome, session *mcp.ClientSession, tool string, arguments map[string]any) (*mcp.CallToolResult, error) {
	o.Calls++
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tool, err)
	}
	if result.IsError {
		return nil, fmt.Errorf("%s failed: %v", tool, result.StructuredContent)
	}
	return result, nil
}

func decode(from, to any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}

const redirect = "http://127.0.0.1:1/callback"

// newHandler returns what signs the client in. If first is set, the client asks for that
// scope only at its first sign-in.
func newHandler(o *outcome, account, first string) (auth.OAuthHandler, error) {
	return auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		RedirectURL:         redirect,
		RequestRefreshToken: true,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "gosdk", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		}},
		ScopeFilter: func(discovered []string) []string {
			if first != "" && o.SignIns == 0 {
				return []string{first}
			}
			return discovered
		},
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			o.SignIns++
			return signIn(ctx, o, args.URL, account)
		},
	})
}

// signIn visits an authorization URL of the provider as a browser, and returns what the
// redirect to the client contains.
func signIn(ctx context.Context, o *outcome, address, account string) (*auth.AuthorizationResult, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	o.Asked, o.Resource = u.Query().Get("scope"), u.Query().Get("resource")
	cookies, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	cookies.SetCookies(u, []*http.Cookie{{Name: "account", Value: account, Path: "/"}}) //nolint:gosec // the provider is on this machine, without TLS
	browser := &http.Client{Jar: cookies, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirect) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := browser.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	callback, err := response.Location()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sign-in ends with status %d", response.StatusCode), err)
	}
	q := callback.Query()
	return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
}
