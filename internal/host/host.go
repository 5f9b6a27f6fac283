// Package host is one machine: its files, commands and users, below a root that
// tests replace. Everything that functions and states do to a machine they do
// through a Host, so that none of them reaches past it.
package host

import "path/filepath"

// Host is the machine that functions work on. The zero value is this machine.
type Host struct {
	// Root is the directory taken for "/"; "" is the machine's own. Commands are
	// not confined to it, only the paths that are read and written here.
	Root string

	drafts     *Drafts // files in the place of others; may be nil
	rehearsing bool    // nothing but drafts is changed
}

// Path is where a path of the host is found: below Root, or its draft.
func (h *Host) Path(p string) string {
	if h != nil && h.drafts != nil {
		if d := h.drafts.of(p); d != "" {
			return d
		}
	}
	if h == nil || h.Root == "" {
		return p
	}
	return filepath.Join(h.Root, filepath.Join(string(filepath.Separator), p))
}
