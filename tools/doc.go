// Package tools holds the MCP tools: generate_image, get_image and list_images.
// Each is one file with a struct of arguments, from which the JSON Schema is
// made, and a handler.
//
// A call passes through define, which reads the Caller from the context,
// decodes and checks the arguments, and turns errors into results. Handlers use
// a jobs.Pipeline to make and fetch images, await them with progress
// notifications, and build the result: a text that is enough alone, an image
// and a link per saved image, and the same as structured content.
//
// The definitions of the tools are a contract, held by golden files in testdata.
package tools
