package roster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/ansible"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
)

// asError makes an error of an inventory one of a roster.
func asError(err error) error {
	var e *ansible.Error
	if errors.As(err, &e) {
		return &Error{Source: e.Source, Host: e.Host, Msg: e.Msg, Hint: e.Hint, Err: e}
	}
	return err
}

// loadAnsible reads an inventory of Ansible: INI, YAML, JSON, a script, or a directory of
// those; with group_vars and host_vars beside it.
func loadAnsible(ctx context.Context, r *Roster) error {
	path := r.file()
	inv := ansible.New()
	dir := filepath.Dir(path)
	st, err := os.Stat(path)
	if err != nil {
		_, err := readFile(path)
		return err
	}
	files := []string{path}
	if st.IsDir() {
		dir, files = path, nil
		list, err := os.ReadDir(path)
		if err != nil {
			return &Error{Source: path, Msg: err.Error(), Err: err}
		}
		for _, d := range list {
			ext := filepath.Ext(d.Name())
			if d.IsDir() || strings.HasPrefix(d.Name(), ".") || strings.HasSuffix(d.Name(), "~") ||
				slices.Contains([]string{".orig", ".bak", ".ini.bak", ".cfg", ".retry", ".pyc", ".pyo", ".swp", ".md", ".rst"}, ext) {
				continue
			}
			files = append(files, filepath.Join(path, d.Name()))
		}
	}
	for _, f := range files {
		if err := r.readInventory(ctx, inv, f); err != nil {
			return err
		}
	}
	if err := inv.Children(); err != nil {
		return asError(err)
	}
	if err := inv.Acyclic(); err != nil {
		return &Error{Source: path, Msg: err.Error()}
	}
	if err := r.varsFiles(inv, dir); err != nil {
		return err
	}
	members := inv.Members()
	for name, hosts := range members {
		r.groups[name] = hosts
	}
	vars := inv.Resolver(members)
	for _, id := range inv.Order {
		r.add(r.ansibleHost(id, inv.Hosts[id].Source, vars.Vars(id)))
	}
	return nil
}

// varsFiles reads group_vars and host_vars.
func (r *Roster) varsFiles(inv *ansible.Inventory, dir string) error {
	into := func(kind, name string, to *wire.Map) error {
		base := filepath.Join(dir, kind, name)
		var files []string
		for _, ext := range []string{"", ".yml", ".yaml", ".json"} {
			st, err := os.Stat(base + ext)
			switch {
			case err != nil:
			case st.IsDir():
				filepath.WalkDir(base+ext, func(p string, d fs.DirEntry, err error) error {
					if err == nil && !d.IsDir() && slices.Contains([]string{"", ".yml", ".yaml", ".json"}, filepath.Ext(p)) && !strings.HasPrefix(d.Name(), ".") {
						files = append(files, p)
					}
					return nil
				})
			default:
				files = append(files, base+ext)
			}
		}
		for _, f := range files {
			text, err := readFile(f)
			if err != nil {
				return err
			}
			if strings.HasPrefix(text, "$ANSIBLE_VAULT") {
				r.warn(f, "", "it is encrypted by ansible-vault, and is passed over")
				continue
			}
			v, err := saltyaml.LoadYAML(text)
			if err != nil {
				return yamlError(f, err)
			}
			m, ok := v.(*wire.Map)
			if !ok {
				if v != nil {
					r.warn(f, "", "it holds %s, and has to be a map of variables", kindOf(v))
				}
				continue
			}
			for k, v := range m.Strings() {
				to.Set(k, v)
			}
		}
		return nil
	}
	if err := into("group_vars", "all", inv.Group("all", dir).Files); err != nil {
		return err
	}
	for _, n := range inv.GroupNames() {
		if n != "all" {
			if err := into("group_vars", n, inv.Groups[n].Files); err != nil {
				return err
			}
		}
	}
	for _, n := range inv.Order {
		if strings.ContainsAny(n, "/\\") || n == ".." {
			continue
		}
		if err := into("host_vars", n, inv.Hosts[n].Vars); err != nil {
			return err
		}
	}
	return nil
}

func yamlError(path string, err error) error {
	return &Error{Source: path, Msg: strings.Join(strings.Fields(strings.SplitN(saltyaml.Message(err), "\n", 2)[0]), " "), Err: err}
}

// readInventory reads one source of an inventory.
func (r *Roster) readInventory(ctx context.Context, inv *ansible.Inventory, path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return &Error{Source: path, Msg: err.Error(), Err: err}
	}
	ext := strings.ToLower(filepath.Ext(path))
	if st.Mode()&0o111 != 0 && !slices.Contains([]string{".yml", ".yaml", ".json", ".ini", ".toml"}, ext) {
		return asError((&ansible.Script{Path: path}).Read(ctx, inv))
	}
	text, err := readFile(path)
	if err != nil {
		return err
	}
	first := ""
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != ';' {
			first = line
			break
		}
	}
	switch {
	case ext == ".json", strings.HasPrefix(first, "{"):
		v, err := saltyaml.LoadJSON(text)
		if err != nil {
			return yamlError(path, err)
		}
		m, ok := v.(*wire.Map)
		if !ok {
			return &Error{Source: path, Msg: "it holds " + kindOf(v) + ", and has to be a map of groups"}
		}
		if m.Has("_meta") {
			return asError(inv.ReadJSON(m, path))
		}
		return r.yamlInventory(inv, m, func(...any) string { return path }, path)
	case ext == ".yml", ext == ".yaml", first == "---", ext == "" && strings.HasSuffix(first, ":") && !strings.HasPrefix(first, "["):
		doc, err := saltyaml.Parse(text, saltyaml.DefaultLimits)
		if err != nil {
			return yamlError(path, err)
		}
		m, ok := doc.Value.(*wire.Map)
		if !ok {
			if doc.Value == nil {
				return nil
			}
			return &Error{Source: path, Msg: "it holds " + kindOf(doc.Value) + ", and has to be a map of groups"}
		}
		return r.yamlInventory(inv, m, func(keys ...any) string {
			if at, ok := doc.At(keys...); ok {
				return fmt.Sprintf("%s:%d", path, at.Line)
			}
			return path
		}, path)
	}
	return r.iniInventory(inv, path, text)
}

// yamlInventory reads groups as YAML has them.
func (r *Roster) yamlInventory(inv *ansible.Inventory, m *wire.Map, place func(...any) string, path string) error {
	var read func(name string, v any, at []any) error
	read = func(name string, v any, at []any) error {
		g := inv.Group(name, place(at...))
		if v == nil {
			return nil
		}
		gm, ok := v.(*wire.Map)
		if !ok {
			return &Error{Source: place(at...), Host: name, Msg: "the group is " + kindOf(v) + ", and has to be a map with hosts, vars and children"}
		}
		for key, val := range gm.Strings() {
			here := append(slices.Clone(at), key)
			sub, isMap := val.(*wire.Map)
			if s, ok := val.(string); ok && key != "vars" {
				sub, isMap = wire.NewMap(s, nil), true
			}
			if val != nil && !isMap && (key == "hosts" || key == "vars" || key == "children") {
				return &Error{Source: place(here...), Host: name, Msg: key + " is " + kindOf(val) + ", and has to be a map", Hint: "a colon after each name"}
			}
			switch key {
			case "vars":
				for k, v := range sub.Strings() {
					g.Vars.Set(k, v)
				}
			case "children":
				for c, v := range sub.Strings() {
					g.AddChild(c)
					if err := read(c, v, append(slices.Clone(here), c)); err != nil {
						return err
					}
				}
			case "hosts":
				for k, v := range sub.All() {
					pattern := scalar(k)
					source := place(append(slices.Clone(here), k)...)
					names, port, err := expandHosts(pattern)
					if err != nil {
						return &Error{Source: source, Host: pattern, Msg: err.Error()}
					}
					vars, ok := v.(*wire.Map)
					if v != nil && !ok {
						return &Error{Source: source, Host: pattern, Msg: "the host is " + kindOf(v) + ", and has to be a map of variables"}
					}
					for _, n := range names {
						h := inv.Host(n, source)
						g.AddHost(n)
						if port != 0 {
							h.Vars.Set("ansible_port", int64(port))
						}
						for k, v := range vars.Strings() {
							h.Vars.Set(k, v)
						}
					}
				}
			default:
				hint := ""
				for _, k := range []string{"hosts", "vars", "children"} {
					if distance(key, k) <= 2 {
						hint = ": did you mean " + k + "?"
					}
				}
				r.warn(place(here...), name, "there is no key %q of a group%s", key, hint)
			}
		}
		return nil
	}
	for name, v := range m.Strings() {
		if name == "_meta" {
			continue
		}
		if err := read(name, v, []any{name}); err != nil {
			return err
		}
	}
	return nil
}

// iniInventory reads the form that most inventories have.
func (r *Roster) iniInventory(inv *ansible.Inventory, path, text string) error {
	group, kind := "ungrouped", ""
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		source := fmt.Sprintf("%s:%d", path, n)
		if line[0] == '[' {
			end := strings.IndexByte(line, ']')
			rest := ""
			if end > 0 {
				rest = strings.TrimSpace(line[end+1:])
			}
			// "[0:3].example.com" is a host.
			if end > 0 && (rest == "" || rest[0] == '#' || rest[0] == ';') {
				group, kind, _ = strings.Cut(strings.TrimSpace(line[1:end]), ":")
				switch kind {
				case "", "vars", "children", "hosts":
				default:
					hint := ""
					for _, k := range []string{"hosts", "vars", "children"} {
						if distance(kind, k) <= 2 {
							hint = "did you mean " + k + "?"
						}
					}
					return &Error{Source: source, Msg: fmt.Sprintf("a section [%s:…] is of vars, children or hosts, and not of %q", group, kind), Hint: hint}
				}
				if group == "" {
					return &Error{Source: source, Msg: "a section without a name"}
				}
				inv.Group(group, source)
				continue
			}
			if end < 0 {
				return &Error{Source: source, Msg: fmt.Sprintf("%q has [ without ]", line)}
			}
		}
		switch kind {
		case "vars":
			k, v, ok := strings.Cut(line, "=")
			if !ok {
				return &Error{Source: source, Host: group, Msg: fmt.Sprintf("%q is not of the form name=value", line)}
			}
			inv.Group(group, source).Vars.Set(strings.TrimSpace(k), literal(v))
		case "children":
			c := strings.TrimSpace(strings.SplitN(line, " #", 2)[0])
			inv.Group(group, source).AddChild(c)
		default:
			words, err := ansible.Words(line)
			if err != nil {
				return &Error{Source: source, Msg: err.Error()}
			}
			if len(words) == 0 {
				continue
			}
			names, port, err := expandHosts(words[0])
			if err != nil {
				return &Error{Source: source, Host: words[0], Msg: err.Error()}
			}
			for _, id := range names {
				h := inv.Host(id, source)
				inv.Group(group, source).AddHost(id)
				if port != 0 {
					h.Vars.Set("ansible_port", int64(port))
				}
				for _, w := range words[1:] {
					k, v, ok := strings.Cut(w, "=")
					if !ok {
						return &Error{Source: source, Host: id, Msg: fmt.Sprintf("%q is not of the form name=value", w), Hint: "one host a line; quote a value with blanks"}
					}
					h.Vars.Set(k, literal(v))
				}
			}
		}
	}
	return nil
}
