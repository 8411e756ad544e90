package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"zai-image-mcp/internal/plaintext"
	"zai-image-mcp/resources"
)

// argumentError reports invalid arguments. Its message and hint let a model
// correct the call.
type argumentError struct{ message, hint string }

func (e *argumentError) Error() string { return e.message + " " + e.hint }

// Failure describes the error for the caller; see jobs.Describe.
func (e *argumentError) Failure() *resources.Failure {
	return &resources.Failure{Kind: resources.KindInvalidArgument, Message: e.message, Hint: e.hint}
}

// decodeArguments decodes the arguments of a call into a struct of strings,
// integers and booleans that holds the defaults. It rejects unknown names with
// the list of known ones. It accepts common mistakes of models: a string for an
// integer or a boolean, a number for a string, and null or a blank string for an
// argument that is left out.
func decodeArguments[T any](request mcp.CallToolRequest, arguments T) (T, error) {
	given := map[string]json.RawMessage{}
	raw := bytes.Trim(request.Params.RawArguments, " \t\r\n") // JSON's white space
	if len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
		if err := json.Unmarshal(raw, &given); err != nil {
			return arguments, &argumentError{"The arguments are not a JSON object.", "Pass an object like {" + example[T]() + "}."}
		}
	}
	target := reflect.ValueOf(&arguments).Elem()
	var known []string
	for i := range target.NumField() {
		name, _, _ := strings.Cut(target.Type().Field(i).Tag.Get("json"), ",")
		known = append(known, name)
		value, ok := given[name]
		delete(given, name)
		if !ok || leftOut(value) {
			continue
		}
		if err := setArgument(target.Field(i), name, value); err != nil {
			return arguments, err
		}
	}
	if len(given) > 0 {
		return arguments, unknownArguments(given, known)
	}
	return arguments, nil
}

// leftOut reports whether a value counts as left out: null or a blank string.
func leftOut(value json.RawMessage) bool {
	text := "" // null does not change it
	return json.Unmarshal(value, &text) == nil && strings.TrimSpace(text) == ""
}

// example returns a JSON member that sets the first argument.
func example[T any]() string {
	name, _, _ := strings.Cut(reflect.TypeFor[T]().Field(0).Tag.Get("json"), ",")
	return fmt.Sprintf("%q: \"...\"", name)
}

// unknownArguments returns the error for the alphabetically first unknown
// argument.
func unknownArguments(given map[string]json.RawMessage, known []string) error {
	unknown := ""
	for name := range given {
		if unknown == "" || name < unknown {
			unknown = name
		}
	}
	hint := "Known arguments are: " + strings.Join(known, ", ") + "."
	return &argumentError{fmt.Sprintf("Unknown argument %q.", plaintext.Truncate(unknown, 60)), hint}
}

func setArgument(field reflect.Value, name string, value json.RawMessage) error {
	switch field.Kind() {
	case reflect.String:
		var text string
		if json.Unmarshal(value, &text) == nil {
			field.SetString(text)
			return nil
		}
		if number := json.Number(""); json.Unmarshal(value, &number) == nil {
			field.SetString(number.String())
			return nil
		}
		return &argumentError{fmt.Sprintf("The argument %q must be a string.", name), fmt.Sprintf("Pass it as \"%s\": \"...\".", name)}
	case reflect.Bool:
		switch strings.ToLower(strings.TrimSpace(strings.Trim(string(value), `"`))) {
		case "true":
			field.SetBool(true)
		case "false":
			field.SetBool(false)
		default:
			return &argumentError{fmt.Sprintf("The argument %q must be true or false.", name), fmt.Sprintf("Pass it as \"%s\": true.", name)}
		}
		return nil
	default:
		number, ok := wholeNumber(value)
		if !ok {
			return &argumentError{fmt.Sprintf("The argument %q must be a whole number.", name), fmt.Sprintf("Pass it as \"%s\": 1.", name)}
		}
		field.SetInt(number)
		return nil
	}
}

// wholeNumber returns the integer of a JSON value such as 2, 2.0 or "2". It
// fails for fractions and beyond ±1e9.
func wholeNumber(value json.RawMessage) (int64, bool) {
	text := strings.TrimSpace(strings.Trim(string(value), `"`))
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || number != math.Trunc(number) || math.Abs(number) > 1e9 {
		return 0, false
	}
	return int64(number), true
}
