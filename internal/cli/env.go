package cli

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// withoutBlanks returns env without the program's settings that are blank.
// Desktop hosts set a variable for every field that their user left empty: to
// nothing, to their own placeholder, or to their language's word for nothing.
// The token file is excluded: an unset token file must stay an error.
func withoutBlanks(env func(string) string) func(string) string {
	return func(name string) string {
		value := env(name)
		blank := value == "null" || value == "undefined" || strings.HasPrefix(value, "${user_config.")
		if strings.HasPrefix(name, "ZAI_") && blank && name != "ZAI_IMAGE_AUTH_TOKENS" {
			return ""
		}
		return value
	}
}

// newParser returns a parser of the command line that reads the variables of
// flags from env. kong.New alone would read them from the environment of the
// process.
func newParser(c *commands, env func(string) string, options ...kong.Option) (*kong.Kong, error) {
	options = append(options, kong.ValueFormatter(helpWithVariables), kong.Resolvers(kong.ResolverFunc(
		func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) { return resolve(flag, env) },
	)))
	parser, err := kong.New(c, options...)
	if err != nil {
		return nil, err
	}
	// kong looks for variables in the tags. Flag.Envs keeps them.
	return parser, kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			flag.Tag.Envs = nil
		}
		return next(nil)
	})
}

// resolve returns the value of a flag's variable, nil if that is not set. It
// fails if the flag cannot have that value.
func resolve(flag *kong.Flag, env func(string) string) (any, error) {
	for _, name := range flag.Envs {
		value := env(name)
		if value == "" {
			continue
		}
		// kong would name the flag in an error, but not the variable.
		scratch := reflect.New(flag.Target.Type()).Elem()
		scanner := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: value})
		if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scanner}, scratch); err != nil {
			return nil, fmt.Errorf("%w (from %s=%q)", err, name, value)
		}
		return value, nil
	}
	return nil, nil //nolint:nilnil // kong.Resolver has no other way to return no value
}

// helpWithVariables returns the help text of a flag with its variables.
func helpWithVariables(value *kong.Value) string {
	if value.Flag == nil {
		return kong.DefaultHelpValueFormatter(value)
	}
	shown, tag := *value, *value.Tag
	tag.Envs = value.Flag.Envs
	shown.Tag = &tag
	return kong.DefaultHelpValueFormatter(&shown)
}
