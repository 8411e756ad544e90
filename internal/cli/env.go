package cli

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// withoutBlanks returns env without the program's settings that are blank.
// Desktop hosts set a variable even for a field that the user left blank: to the
// empty string, to the placeholder of the field, or to "null" or "undefined". The
// settings that decide who may use the server are excluded: a value that means
// nothing must fail and not switch authentication off.
func withoutBlanks(env func(string) string) func(string) string {
	return func(name string) string {
		value := env(name)
		blank := value == "null" || value == "undefined" || strings.HasPrefix(value, "${user_config.")
		if strings.HasPrefix(name, "ZAI_") && blank && !decidesAccess(name) {
			return ""
		}
		return value
	}
}

// decidesAccess reports whether a variable decides who may use the server.
func decidesAccess(name string) bool {
	return name == "ZAI_IMAGE_AUTH_TOKENS" || name == "ZAI_IMAGE_QUOTAS" || strings.HasPrefix(name, "ZAI_IMAGE_OIDC_")
}

// newParser returns a parser of a command line, a pointer to a struct, that reads the variables of
// flags from env. By default kong reads them from the environment of the process.
func newParser(c any, env func(string) string, options ...kong.Option) (*kong.Kong, error) {
	options = append(options, kong.ValueFormatter(helpWithVariables), kong.Resolvers(kong.ResolverFunc(
		func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) { return resolve(flag, env) },
	)))
	parser, err := kong.New(c, options...)
	if err != nil {
		return nil, err
	}
	// kong reads the variables that the tags name. Flag.Envs still has the names.
	return parser, kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			flag.Tag.Envs = nil
		}
		return next(nil)
	})
}

// resolve returns the value of a flag's variable, nil if the variable is not set.
// It fails if the value is not valid for the flag.
func resolve(flag *kong.Flag, env func(string) string) (any, error) {
	for _, name := range flag.Envs {
		value := env(name)
		if value == "" {
			continue
		}
		// An error of kong would name only the flag, not the variable.
		scratch := reflect.New(flag.Target.Type()).Elem()
		scanner := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: value})
		if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scanner}, scratch); err != nil {
			return nil, fmt.Errorf("%w (from %s=%q)", err, name, value)
		}
		return value, nil
	}
	return nil, nil //nolint:nilnil // kong.Resolver has no other way to return no value
}

// helpWithVariables returns the help text of a flag with the names of its
// variables.
func helpWithVariables(value *kong.Value) string {
	if value.Flag == nil {
		return kong.DefaultHelpValueFormatter(value)
	}
	shown, tag := *value, *value.Tag
	tag.Envs = value.Flag.Envs
	shown.Tag = &tag
	return kong.DefaultHelpValueFormatter(&shown)
}
