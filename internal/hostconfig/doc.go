// Package hostconfig adds this server's entry to the configurations of MCP
// hosts, and reads the entry.
//
// A Host has the location and the format of one host's configuration. Merge
// changes this server's entry and nothing else in the configuration; Inspect
// returns the settings of the entry. The package itself does not read or write
// files: callers pass the text of a configuration.
package hostconfig
