// Package textfile reads text files in the encodings that programs on Windows
// write.
package textfile
