// Package tools holds the MCP tools: generate_image, get_image and list_images.
// Each has one file with a struct of arguments, from which its JSON Schema is
// generated, and a handler.
//
// A call passes through define, which reads the Caller from the context,
// decodes and checks the arguments, and turns errors into results. Handlers use
// a jobs.Pipeline to generate and fetch images, wait for them with progress
// notifications, and build the result: a text that is complete on its own, an
// image and a link for each saved image, and the same as structured content.
//
// The definitions of the tools are a contract. Tests compare them with golden
// files in testdata.
package tools
