// Package pillar compiles what a minion is told alone: the SLS files of pillar_roots that
// top files assign to it, what ext_pillar adds, and the values that a call hands over. A
// master does it for its minions, and a minion without a master for itself.
//
// Start at Compiler.Compile (compile.go), then top.go (which files), sls.go (rendering and
// includes), ext.go (ext_pillar), decrypt.go (gpg and age). explain.go tells from where a
// value came, cache.go keeps whole pillars (pillar_cache).
//
// The order of merging, the names of options and the texts of errors are Salt's.
package pillar
