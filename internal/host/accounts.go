package host

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// Accounts returns the lines of /etc/passwd, /etc/group or /etc/shadow as fields; lines
// with fewer than least are left out. The error is fs.ErrNotExist where there is no file.
func (h *Host) Accounts(db string, least int) ([][]string, error) {
	text, err := os.ReadFile(h.Path("/etc/" + db))
	if err != nil {
		return nil, err
	}
	var out [][]string
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(f) >= least && f[0] != "" && f[0][0] != '#' {
			out = append(out, f)
		}
	}
	return out, nil
}

// Account is the line of a name in such a file; nil where there is none.
func (h *Host) Account(db, name string, least int) ([]string, error) {
	all, err := h.Accounts(db, least)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, f := range all {
		if f[0] == name {
			return f, nil
		}
	}
	return nil, err
}
