// Package hostconfig writes this server into the configuration files of MCP
// hosts, and reads it from them.
//
// A Host is where one host keeps its configuration and in which form. Merge
// changes the entry of this server and nothing else in the file; Inspect
// returns what the entry sets. The package reads and writes no files.
package hostconfig
