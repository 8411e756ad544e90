// Package gallery serves the pages of the image library below /gallery/: the images by
// day, one image with all facts and actions, and the spending. The pages work without
// JavaScript.
//
// The server that mounts it checks the Host and Origin of requests; the package checks
// who may see which image.
package gallery
