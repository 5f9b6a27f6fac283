// Package gosalt holds the tests of the system as a whole: the scenarios of
// testdata/script drive the real programs. The programs themselves are in cmd.
package gosalt
