// Package sqlcatalog holds the statements of catalogs in SQL databases. Packages
// sqlite and postgres open the database, create its tables and provide an Engine,
// which describes what differs between databases.
//
// Statements are written for both. Placeholders are question marks, :now is the time
// in Unix milliseconds, and booleans are parameters or the words TRUE and FALSE. A
// statement contains a question mark only as a placeholder. The lists of states in
// the statements come from the predicates of resources.State.
package sqlcatalog
