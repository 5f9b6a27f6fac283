package roster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
	"github.com/gosalt/gosalt/ssh/sshconfig"
)

// home is the user's directory.
func home() string {
	h, err := os.UserHomeDir()
	if err != nil {
		return "/root"
	}
	return h
}

// loadSSHConfig reads the names on the Host lines of the user's SSH configuration.
func loadSSHConfig(_ context.Context, r *Roster) error {
	own := filepath.Join(home(), ".ssh/config")
	path := r.cfg.SSHConfigFile
	if path == "" {
		path = own
	}
	if _, err := readFile(path); err != nil {
		var e *Error
		if errors.As(err, &e) && errors.Is(err, fs.ErrNotExist) {
			e.Hint = "ssh_config_file names it"
		}
		return err
	}
	c, err := sshconfig.Load([]string{path}, home())
	if err != nil {
		return &Error{Source: path, Msg: err.Error(), Err: err}
	}
	r.Warnings = append(r.Warnings, c.Warnings...)
	for _, n := range c.Hosts() {
		set := c.Lookup(sshconfig.Who{Host: n.Name})
		entry := wire.NewMap("host", n.Name)
		if v, ok := set.Get("user"); ok {
			entry.Set("user", v.Text())
		}
		if v, ok := set.Get("port"); ok {
			entry.Set("port", v.Text())
		}
		h := r.parseHost(n.Name, entry, func(string) string { return n.Source })
		if path != own {
			// Connections know the user's own configuration; of another one they have to be told.
			for _, k := range set.Keys() {
				if k == "user" || k == "port" || k == "sendenv" || k == "localforward" || k == "dynamicforward" {
					continue
				}
				for _, v := range set.All(k) {
					if ssh.SupportsOption(k) {
						h.SSHOptions = append(h.SSHOptions, k+"="+quoted(v.Args))
					}
				}
			}
		}
		r.add(h)
	}
	return nil
}

// quoted writes words so that they are read as the same words.
func quoted(args []string) string {
	if len(args) == 1 && !strings.ContainsAny(args[0], " \t") {
		return args[0]
	}
	if len(args) == 1 {
		return args[0] // the rest of a line, as of ProxyCommand
	}
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = `"` + a + `"`
	}
	return strings.Join(out, " ")
}

// loadKnownHosts reads the names of the machines whose keys the user has.
func loadKnownHosts(_ context.Context, r *Roster) error {
	path := r.cfg.KnownHostsFile
	if path == "" {
		path = filepath.Join(home(), ".ssh/known_hosts")
	}
	text, err := readFile(path)
	if err != nil {
		var e *Error
		if errors.As(err, &e) && errors.Is(err, fs.ErrNotExist) {
			e.Hint = "ssh_known_hosts_file names it"
		}
		return err
	}
	type entry struct {
		host, port, source string
	}
	var list []entry
	hidden, n := 0, 0
	sc := bufio.NewScanner(strings.NewReader(text))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		n++
		words := strings.Fields(sc.Text())
		if len(words) == 0 || words[0][0] == '#' || words[0][0] == '@' {
			continue
		}
		source := fmt.Sprintf("%s:%d", path, n)
		if len(words) < 3 {
			r.warn(source, "", "the line has %d words, and needs three: names, type and key", len(words))
			continue
		}
		if strings.HasPrefix(words[0], "|") {
			hidden++
			continue
		}
		for _, name := range strings.Split(words[0], ",") {
			e := entry{host: name, source: source}
			if rest, ok := strings.CutPrefix(name, "["); ok {
				e.host, e.port, _ = strings.Cut(rest, "]:")
			}
			if e.host == "" || strings.ContainsAny(e.host, "*?!") || slices.ContainsFunc(list, func(o entry) bool { return o.host == e.host && o.port == e.port }) {
				continue
			}
			list = append(list, e)
		}
	}
	if hidden > 0 {
		r.warn(path, "", "%d names are hashed: which machines they are cannot be seen", hidden)
	}
	for _, e := range list {
		id, m := e.host, wire.NewMap("host", e.host)
		if e.port != "" {
			m.Set("port", e.port)
			if slices.ContainsFunc(list, func(o entry) bool { return o.host == e.host && o.port != e.port }) {
				id += ":" + e.port
			}
		}
		r.add(r.parseHost(id, m, func(string) string { return e.source }))
	}
	return nil
}
