// Package tools holds the MCP tools: generate_image, get_image, list_images and
// export_image. Each has one file with a struct of arguments, from which its JSON Schema is
// generated, and a handler.
//
// A call passes through define, which reads the Caller from the context,
// decodes and checks the arguments, and turns errors into results. Handlers use
// a jobs.Pipeline to generate and fetch images, wait for them with progress
// notifications, and build the result: a text that is complete on its own, an
// image and a link for each saved image, and the same as structured content.
//
// With save_as, a call also writes files into the project. Everything that can be
// refused, such as a name that leads out of it, is refused before an image is paid
// for. After that, a file that cannot be written is a note in the result, and
// get_image or export_image writes it later.
//
// The definitions of the tools are a contract. Tests compare them with golden
// files in testdata.
package tools
