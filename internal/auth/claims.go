package auth

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// clockSkew is how far the clocks of the issuer and of this machine may differ.
const clockSkew = time.Minute

// claims are the claims of a token by name, undecoded.
type claims map[string]json.RawMessage

func parseClaims(payload []byte) (claims, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil || c == nil {
		return nil, errClaims
	}
	return c, nil
}

// check reports why a token is not an access token for this server at this time.
// Of the issuer it accepts both spellings that the metadata may have.
func (c claims) check(config OIDCConfig, now time.Time) error {
	if c.identifies() {
		return errIdentity
	}
	if iss, ok := c.text("iss"); !ok || !sameIssuer(iss, config.Issuer) {
		return errIssuer
	}
	audiences := c.list("aud")
	if !slices.ContainsFunc(config.Audiences, func(a string) bool { return slices.Contains(audiences, a) }) {
		return errAudience
	}
	return c.checkTimes(now)
}

// identifies reports whether the claims are those of an identity token, which
// proves something to the client and gives no access.
func (c claims) identifies() bool {
	_, accessHash := c["at_hash"]
	_, codeHash := c["c_hash"]
	typ, _ := c.text("typ") // a claim of Keycloak
	return accessHash || codeHash || typ == "ID"
}

func (c claims) checkTimes(now time.Time) error {
	if _, ok := c["exp"]; !ok {
		return errEndless
	}
	expires, ok := c.time("exp")
	switch {
	case !ok:
		return errNumber
	case !now.Before(expires.Add(clockSkew)):
		return errExpired
	}
	for _, name := range []string{"nbf", "iat"} {
		if _, present := c[name]; !present {
			continue
		}
		begins, ok := c.time(name)
		switch {
		case !ok:
			return errNumber
		case now.Before(begins.Add(-clockSkew)):
			return errEarly
		}
	}
	return nil
}

// text returns a claim that is a text.
func (c claims) text(name string) (string, bool) {
	var text *string
	if err := json.Unmarshal(c[name], &text); err != nil || text == nil {
		return "", false
	}
	return *text, true
}

// list returns the texts of a claim that is a text or a list of texts.
func (c claims) list(name string) []string {
	if text, ok := c.text(name); ok {
		return []string{text}
	}
	var list []string
	if json.Unmarshal(c[name], &list) != nil {
		return nil
	}
	return list
}

// time returns a claim that counts the seconds since 1970.
func (c claims) time(name string) (time.Time, bool) {
	const year9999 = 253402300799
	var seconds *float64
	if err := json.Unmarshal(c[name], &seconds); err != nil || seconds == nil || math.Abs(*seconds) > year9999 {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(*seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second))).UTC(), true
}

// scopes returns the scopes of the token. Issuers put them into scope or scp, as a
// list or as a text with spaces between them.
func (c claims) scopes() []string {
	var scopes []string
	for _, name := range []string{"scope", "scp"} {
		for _, text := range c.list(name) {
			scopes = append(scopes, strings.Fields(text)...)
		}
	}
	return scopes
}

// granted reports whether the scopes include one that is needed, if any is. Clients
// of Microsoft Entra ask for https://example.com/mcp/read, and its tokens name read.
func granted(scopes []string, needed string) bool {
	short := needed[strings.LastIndex(needed, "/")+1:]
	return needed == "" || slices.Contains(scopes, needed) || short != "" && slices.Contains(scopes, short)
}

// owner returns the value of the claim that names the owner.
func (c claims) owner(claim string) (string, error) {
	const maxCharacters = 128
	if _, present := c[claim]; !present {
		return "", &ForbiddenError{"the token does not say who its bearer is: it has no claim " + claim}
	}
	name, ok := c.text(claim)
	switch {
	case !ok:
		return "", &ForbiddenError{"the claim " + claim + " of the token is not a text and cannot name an owner"}
	case name == "" || utf8.RuneCountInString(name) > maxCharacters:
		return "", &ForbiddenError{"the claim " + claim + " of the token has to have 1 to 128 characters to name an owner"}
	case strings.ContainsFunc(name, notInOwners):
		return "", &ForbiddenError{"the claim " + claim + " of the token has spaces or invisible characters and cannot name an owner"}
	case claim == "email" && c.unverifiedEmail():
		return "", &ForbiddenError{"the email address of the token is not verified and cannot name an owner"}
	}
	return name, nil
}

// notInOwners reports whether a character cannot be in the name of an owner: it is
// white space, a control character or invisible, or it changes the direction of
// text. The replacement character stands for different invalid bytes.
func notInOwners(r rune) bool {
	return r == ' ' || r == utf8.RuneError || !unicode.IsPrint(r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// unverifiedEmail reports whether the issuer says that it did not verify the
// address. Some issuers say so by a text.
func (c claims) unverifiedEmail() bool {
	verified := strings.Trim(string(c["email_verified"]), `"`)
	return verified == "false"
}

// sameIssuer reports whether two issuers differ in nothing but a slash at the end.
func sameIssuer(a, b string) bool {
	return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}
