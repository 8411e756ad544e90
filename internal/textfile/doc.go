// Package textfile reads text files in UTF-8 and in the encodings that programs
// on Windows write.
package textfile
