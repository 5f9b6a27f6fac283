// Package faults holds tests of what must survive: the real programs are killed, cut
// off, filled up and lied to while they work, and afterwards every job and every
// result is counted. docs/reliability.md has the promises and what was seen.
package faults
