// Package prompts holds the MCP prompts: templates that a user picks in the host
// and that lead an agent to call generate_image well.
//
// The catalog has one prompt per kind of image; improve_prompt only rewrites a
// description. The texts are held by golden files in testdata.
package prompts
