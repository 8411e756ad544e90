package limit

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"zai-image-mcp/internal/textfile"
)

// parseQuotas returns the rules of a QuotaFile by owner.
func parseQuotas(raw []byte) (map[string]rules, error) {
	if len(raw) > maxQuotaFile {
		return nil, errors.New("larger than 4 MiB")
	}
	text, err := textfile.Decode(raw)
	if err != nil {
		return nil, err
	}
	owners, first := map[string]rules{}, map[string]int{}
	plain := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	for n, line := range strings.Split(plain, "\n") {
		words := wordsOf(line)
		if len(words) == 0 {
			continue
		}
		owner := words[0]
		r, err := parseRules(owner, words[1:])
		if err == nil && first[owner] != 0 {
			err = fmt.Errorf("%s already has line %d", clip(owner, MaxName), first[owner])
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		owners[owner], first[owner] = r, n+1
	}
	if len(owners) == 0 { // the file may be about to be written
		return nil, errors.New("there is no line in it")
	}
	return owners, nil
}

// wordsOf returns the words of a line before a comment, which begins with a # at the
// start of a word.
func wordsOf(line string) []string {
	words := strings.Fields(line)
	for n, word := range words {
		if strings.HasPrefix(word, "#") {
			return words[:n]
		}
	}
	return words
}

func parseRules(owner string, words []string) (r rules, err error) {
	if err := checkOwner(owner); err != nil {
		return r, err
	}
	for _, word := range words {
		name, value, hasValue := strings.Cut(word, "=")
		switch {
		case word == "read-only" && !r.readOnly:
			r.readOnly = true
		case word == "refuse" && !r.refuse:
			r.refuse = true
		case hasValue && name == "budget" && r.budget == nil:
			r.budget, err = parseBudget(value)
		case hasValue && name == "pictures" && r.images == nil:
			r.images, err = parseImages(value)
		case name == "budget", name == "pictures", word == "read-only", word == "refuse":
			err = fmt.Errorf("%s is there twice, or its value is missing", name)
		default:
			err = fmt.Errorf("%q is not a rule: write budget=DOLLARS, pictures=NUMBER, read-only or refuse", clip(word, MaxName))
		}
		if err != nil {
			return r, err
		}
	}
	switch {
	case len(words) == 0:
		return r, fmt.Errorf("%s has no rule: write budget=DOLLARS, pictures=NUMBER, read-only or refuse", clip(owner, MaxName))
	case (r.readOnly || r.refuse) && len(words) > 1:
		return r, errors.New("read-only and refuse stand alone")
	}
	return r, nil
}

// plainOwner matches the owners that have no slash, apart from their length: names of
// the token file, and local.
var plainOwner = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]*$`)

// Maximum lengths of owners in bytes.
const (
	maxPlainOwner = 64
	maxOwner      = 4 << 10 // an address and a claim
)

// checkOwner fails for names that no owner can have. Owners with a slash are an issuer
// of access tokens without https://, and the claim of a token.
func checkOwner(owner string) error {
	issuer, claim, several := strings.Cut(owner, "/")
	switch {
	case owner == everybody:
		return nil
	case strings.HasSuffix(issuer, ":") && strings.HasPrefix(claim, "/"):
		return fmt.Errorf("%q is an address: write the issuer without https://, as images spend prints it", clip(owner, MaxName))
	case several && issuer != "" && claim != "" && len(owner) <= maxOwner && utf8.ValidString(owner) && !strings.ContainsFunc(owner, notPrinted):
		return nil
	case !several && len(owner) <= maxPlainOwner && plainOwner.MatchString(owner):
		return nil
	}
	return fmt.Errorf("%q is not the name of an owner: write it as images spend prints it, or * for everybody else", clip(owner, MaxName))
}

func notPrinted(r rune) bool { return !unicode.IsPrint(r) }

// Maximum numbers of digits.
const (
	maxWhole   = 9
	maxDecimal = 6 // of an amount of dollars
)

// isFigure reports whether a text consists of digits, at least one and at most limit.
func isFigure(text string, limit int) bool {
	return text != "" && len(text) <= limit && strings.Trim(text, "0123456789") == ""
}

// isAmount reports whether a text is an amount of dollars like 5 or 0.50.
func isAmount(text string) bool {
	whole, decimal, found := strings.Cut(text, ".")
	return isFigure(whole, maxWhole) && (!found || isFigure(decimal, maxDecimal))
}

func parseBudget(text string) (*float64, error) {
	amount, err := strconv.ParseFloat(text, 64)
	if err != nil || !isAmount(text) {
		return nil, fmt.Errorf("budget=%s: not an amount of dollars like 5 or 0.50, or 0 for no limit", clip(text, MaxName))
	}
	return &amount, nil
}

func parseImages(text string) (*int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || !isFigure(text, maxWhole) {
		return nil, fmt.Errorf("pictures=%s: not a whole number like 50, or 0 for no limit", clip(text, MaxName))
	}
	return &n, nil
}
