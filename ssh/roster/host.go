package roster

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// A field reads one key of an entry. An error is what was expected.
type field func(h *ssh.Host, v any) error

// fields are the keys of a roster.
var fields = map[string]field{
	"host":        func(h *ssh.Host, v any) (err error) { h.Host, err = text(v); return },
	"user":        func(h *ssh.Host, v any) (err error) { h.User, err = text(v); return },
	"passwd":      func(h *ssh.Host, v any) (err error) { h.Passwd, err = secret(v); return },
	"priv":        func(h *ssh.Host, v any) (err error) { h.Priv, err = text(v); return },
	"priv_passwd": func(h *ssh.Host, v any) (err error) { h.PrivPasswd, err = secret(v); return },
	"port": func(h *ssh.Host, v any) error {
		n, err := strconv.Atoi(scalar(v))
		if err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("a number from 1 to 65535")
		}
		h.Port = n
		return nil
	},
	"sudo":      func(h *ssh.Host, v any) (err error) { h.Sudo, err = boolean(v); return },
	"sudo_user": func(h *ssh.Host, v any) (err error) { h.SudoUser, err = text(v); return },
	// Not in Salt, which takes passwd for both.
	"sudo_passwd": func(h *ssh.Host, v any) (err error) { h.SudoPasswd, err = secret(v); return },
	"tty":         func(h *ssh.Host, v any) (err error) { h.TTY, err = boolean(v); return },
	"timeout": func(h *ssh.Host, v any) error {
		f, err := strconv.ParseFloat(scalar(v), 64)
		if err != nil || f < 0 || f > math.MaxInt32 || math.IsNaN(f) {
			return fmt.Errorf("a number of seconds")
		}
		h.Timeout = time.Duration(f * float64(time.Second))
		return nil
	},
	"minion_opts": func(h *ssh.Host, v any) error {
		m, ok := v.(*wire.Map)
		if !ok {
			return fmt.Errorf("a map of options of a minion")
		}
		h.MinionOpts = m
		return nil
	},
	"grains": func(h *ssh.Host, v any) error {
		m, ok := v.(*wire.Map)
		if !ok {
			return fmt.Errorf("a map of grains")
		}
		h.Grains = m
		return nil
	},
	"thin_dir": func(h *ssh.Host, v any) (err error) { h.ThinDir, err = text(v); return },
	"cmd_umask": func(h *ssh.Host, v any) error {
		// YAML reads 0o22, and 0022 as octal: Salt gives the number to Python's oct.
		switch n := v.(type) {
		case int64:
			if n < 0 || n > 0o777 {
				return fmt.Errorf("a umask, as 0022")
			}
			h.CmdUmask = fmt.Sprintf("%04o", n)
		default:
			s := strings.TrimPrefix(scalar(v), "0o")
			if _, err := strconv.ParseUint(s, 8, 9); err != nil {
				return fmt.Errorf("a umask, as 0022")
			}
			h.CmdUmask = fmt.Sprintf("%04s", s)
		}
		return nil
	},
	"ssh_pre_flight":      func(h *ssh.Host, v any) (err error) { h.PreFlight, err = text(v); return },
	"ssh_pre_flight_args": func(h *ssh.Host, v any) (err error) { h.PreFlightArgs, err = words(v, " "); return },
	"set_path":            func(h *ssh.Host, v any) (err error) { h.SetPath, err = text(v); return },
	"ssh_options":         func(h *ssh.Host, v any) (err error) { h.SSHOptions, err = lines(v); return },
	"identities_only":     func(h *ssh.Host, v any) (err error) { h.IdentitiesOnly, err = boolean(v); return },
	"remote_port_forwards": func(h *ssh.Host, v any) (err error) {
		h.RemotePortForwards, err = words(v, ",")
		return
	},
	"winrm": func(h *ssh.Host, v any) error {
		if on, err := boolean(v); err != nil || on {
			return fmt.Errorf("off: WinRM is not spoken here")
		}
		return nil
	},
}

// others are keys that Salt's rosters may have and that are for others to read.
var others = []string{"mine_functions", "mine_interval", "disable_wipe", "ssh_python_env", "winrm_port", "python_env"}

// Host makes a machine of an entry as a roster has it. source says where it was said.
func Host(id string, entry *wire.Map, source string) ssh.Host {
	return (&Roster{}).parseHost(id, entry, func(string) string { return source })
}

// parseHost makes a machine of an entry. What is wrong with it goes into Host.Err, so that
// the other machines are still reached.
func (r *Roster) parseHost(id string, v any, place func(key string) string) ssh.Host {
	h := ssh.Host{ID: id, Source: place("")}
	bad := func(key, format string, args ...any) {
		if h.Err == nil {
			h.Err = &ssh.Error{Host: id, Kind: ssh.KindRoster, Msg: (&Error{Source: place(key), Host: id, Msg: fmt.Sprintf(format, args...)}).Error()}
		}
	}
	if id == "" || strings.ContainsAny(id, "/\x00\n") {
		bad("", "%q cannot be the name of a machine", id)
	}
	entry := wire.NewMap()
	for k, val := range r.cfg.Defaults.Strings() {
		entry.Set(k, val)
	}
	switch e := v.(type) {
	case *wire.Map:
		for k, val := range e.All() {
			name, ok := k.(string)
			if !ok {
				bad("", "the key %v is no text", k)
				continue
			}
			entry.Set(name, val)
		}
	case string:
		entry.Set("host", e)
	case int64, float64:
		entry.Set("host", scalar(e))
	case nil:
		bad("", "the entry is empty: write the address after the colon, or host: below it")
	default:
		bad("", "the entry is %s, and has to be an address, or a map with host:", kindOf(v))
	}
	for key, val := range entry.Strings() {
		read := fields[key]
		if read == nil {
			if !slices.Contains(others, key) {
				hint := ""
				if n := nearest(key); n != "" {
					hint = ": did you mean " + n + "?"
				}
				at := place(key)
				r.warn(at, id, "there is no key %q%s", key, hint)
				if hint == "" {
					r.about[len(r.about)-1].minor = true // for other programs, it may be
				} else if h.Doubt == "" {
					h.Doubt = fmt.Sprintf("roster %s has the unknown key %q%s", at, key, hint)
				}
			}
			if h.Attrs == nil {
				h.Attrs = wire.NewMap()
			}
			h.Attrs.Set(key, val)
			continue
		}
		if val == nil {
			continue // "passwd:" with nothing, as many write it
		}
		if err := read(&h, val); err != nil {
			shown := kindOf(val)
			if s, ok := val.(string); ok && !strings.Contains(key, "passwd") {
				shown = strconv.Quote(s)
			} else if !strings.Contains(key, "passwd") && scalar(val) != "" {
				shown = scalar(val)
			}
			bad(key, "%s is %s, and has to be %s", key, shown, err)
		}
	}
	if h.Host == "" {
		h.Host = id
	}
	// Salt lists them all in one text; -4 in front of an address has no place here.
	if opts := r.cfg.MinionOpts; opts.Len() > 0 {
		m := opts.Clone()
		for k, v := range h.MinionOpts.All() {
			m.SetAny(k, v)
		}
		h.MinionOpts = m
	}
	if g := h.MinionOpts.Map("grains"); g.Len() > 0 {
		m := g.Clone()
		for k, v := range h.Grains.All() {
			m.SetAny(k, v)
		}
		h.Grains = m
	}
	return h
}

// scalar is the text of a text or number, "" of anything else.
func scalar(v any) string {
	switch x := v.(type) {
	case string:
		return strings.TrimSpace(x)
	case int64:
		return strconv.FormatInt(x, 10)
	case uint64:
		return strconv.FormatUint(x, 10)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return ""
}

func text(v any) (string, error) {
	switch v.(type) {
	case string, int64, uint64, float64:
		return scalar(v), nil
	}
	return "", fmt.Errorf("text")
}

func secret(v any) (seal.Secret, error) {
	if s, ok := v.(string); ok {
		return seal.NewSecret(s), nil // blanks may belong to it
	}
	s, err := text(v)
	if err != nil {
		return seal.Secret{}, fmt.Errorf("text, in quotes where it may be taken for something else")
	}
	return seal.NewSecret(s), nil
}

func boolean(v any) (bool, error) {
	switch x := v.(type) {
	case bool:
		return x, nil
	case int64:
		return x != 0, nil
	case string:
		switch strings.ToLower(x) {
		case "true", "yes", "on", "1":
			return true, nil
		case "false", "no", "off", "0", "":
			return false, nil
		}
	}
	return false, fmt.Errorf("one of True and False")
}

// words is a list of texts, or one text that is split.
func words(v any, sep string) ([]string, error) {
	switch x := v.(type) {
	case string:
		var out []string
		for _, w := range strings.Split(x, sep) {
			if w = strings.TrimSpace(w); w != "" {
				out = append(out, w)
			}
		}
		return out, nil
	case []any:
		return lines(x)
	}
	return nil, fmt.Errorf("a list, or text")
}

// lines is a list of texts, or one text.
func lines(v any) ([]string, error) {
	switch x := v.(type) {
	case string:
		return []string{x}, nil
	case []any:
		var out []string
		for _, e := range x {
			s, err := text(e)
			if err != nil {
				return nil, fmt.Errorf("a list of texts")
			}
			out = append(out, s)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a list of texts")
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "a bool"
	case int64, uint64, float64:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	case *wire.Map:
		return "a map"
	}
	return fmt.Sprintf("%T", v)
}

// nearest is the key that was probably meant, "" when none is near.
func nearest(key string) string {
	best, name := 3, ""
	for k := range fields {
		if d := distance(strings.ToLower(key), k); d < best || d == best && name != "" && k < name {
			best, name = d, k
		}
	}
	// Words of others for the same.
	if name == "" {
		name = map[string]string{"password": "passwd", "hostname": "host", "address": "host", "addr": "host", "ip": "host", "username": "user",
			"ssh_user": "user", "ssh_port": "port", "private_key": "priv", "key": "priv", "identity_file": "priv", "ansible_host": "host"}[strings.ToLower(key)]
	}
	return name
}

// distance counts the letters to change, add or remove to make one text of the other; a
// swap of two counts as one.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	// Short keys are near to everything.
	if n := d[len(a)][len(b)]; n*2 < max(len(a), len(b)) {
		return n
	}
	return 99
}
