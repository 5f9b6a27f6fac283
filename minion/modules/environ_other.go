//go:build !windows

package modules

// permanentEnviron does nothing: only Windows keeps an environment for later, in its
// registry. Salt takes the argument everywhere, too.
func permanentEnviron(key, val string, remove, machine bool) error { return nil }
