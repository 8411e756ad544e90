// Package prompts holds the MCP prompts: templates that a user selects in the
// host and that instruct an agent how to call generate_image.
//
// The catalog has one prompt for each kind of image; improve_prompt only
// rewrites a description. Tests compare the texts with golden files in
// testdata.
package prompts
