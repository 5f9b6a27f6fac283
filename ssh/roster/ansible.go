package roster

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
)

// An inventory is Ansible's: groups of hosts, with variables.
type inventory struct {
	groups map[string]*aGroup
	order  []string // of hosts
	hosts  map[string]*aHost
}

type aGroup struct {
	hosts    []string
	children []string
	vars     *wire.Map
	files    *wire.Map // of group_vars: above the vars of all groups in the inventory
	source   string
}

type aHost struct {
	vars   *wire.Map
	source string
}

func newInventory() *inventory {
	return &inventory{groups: map[string]*aGroup{}, hosts: map[string]*aHost{}}
}

func (inv *inventory) group(name, source string) *aGroup {
	g := inv.groups[name]
	if g == nil {
		g = &aGroup{vars: wire.NewMap(), files: wire.NewMap(), source: source}
		inv.groups[name] = g
	}
	return g
}

func (inv *inventory) host(name, source string) *aHost {
	h := inv.hosts[name]
	if h == nil {
		h = &aHost{vars: wire.NewMap(), source: source}
		inv.hosts[name] = h
		inv.order = append(inv.order, name)
	}
	return h
}

func addOnce(list *[]string, s string) {
	if !slices.Contains(*list, s) {
		*list = append(*list, s)
	}
}

// loadAnsible reads an inventory of Ansible: INI, YAML, JSON, a script, or a directory of
// those; with group_vars and host_vars beside it.
func loadAnsible(ctx context.Context, r *Roster) error {
	path := r.file()
	inv := newInventory()
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
	for name, g := range inv.groups {
		for _, c := range g.children {
			if inv.groups[c] == nil {
				return &Error{Source: g.source, Host: name, Msg: fmt.Sprintf("there is no group %q, which it names as a child", c)}
			}
		}
	}
	if err := inv.acyclic(); err != nil {
		return &Error{Source: path, Msg: err.Error()}
	}
	if err := r.varsFiles(inv, dir); err != nil {
		return err
	}
	names := sortedKeys(inv.groups)
	for _, name := range names {
		r.groups[name] = inv.members(name)
	}
	r.groups["all"] = slices.Clone(inv.order)
	var ungrouped []string
	for _, h := range inv.order {
		if !slices.ContainsFunc(names, func(g string) bool {
			return g != "all" && g != "ungrouped" && slices.Contains(r.groups[g], h)
		}) {
			ungrouped = append(ungrouped, h)
		}
	}
	r.groups["ungrouped"] = ungrouped
	for _, id := range inv.order {
		r.add(r.ansibleHost(id, inv.hosts[id].source, inv.vars(id, r.groups)))
	}
	return nil
}

// acyclic tells of a group that is among its own children.
func (inv *inventory) acyclic() error {
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case 1:
			return fmt.Errorf("the group %s is among its own children", name)
		case 2:
			return nil
		}
		state[name] = 1
		for _, c := range inv.groups[name].children {
			if err := visit(c); err != nil {
				return err
			}
		}
		state[name] = 2
		return nil
	}
	for _, n := range sortedKeys(inv.groups) {
		if err := visit(n); err != nil {
			return err
		}
	}
	return nil
}

// members are the hosts of a group and of its children.
func (inv *inventory) members(name string) []string {
	g := inv.groups[name]
	out := slices.Clone(g.hosts)
	for _, c := range g.children {
		for _, h := range inv.members(c) {
			addOnce(&out, h)
		}
	}
	return out
}

// vars are those of a host: of all, of its groups with the inner ones last, of itself.
func (inv *inventory) vars(id string, groups map[string][]string) *wire.Map {
	depth := map[string]int{}
	var sink func(name string, d int)
	sink = func(name string, d int) {
		if d > depth[name] {
			depth[name] = d
		}
		for _, c := range inv.groups[name].children {
			sink(c, d+1)
		}
	}
	for n := range inv.groups {
		sink(n, 1)
	}
	depth["all"] = 0
	mine := slices.DeleteFunc(sortedKeys(inv.groups), func(n string) bool { return n != "all" && !slices.Contains(groups[n], id) })
	priority := func(n string) int64 { p := inv.groups[n].vars.Int("ansible_group_priority"); return max(p, 1) }
	slices.SortStableFunc(mine, func(a, b string) int {
		if d := depth[a] - depth[b]; d != 0 {
			return d
		}
		return int(priority(a) - priority(b))
	})
	out := wire.NewMap()
	for _, of := range []func(*aGroup) *wire.Map{func(g *aGroup) *wire.Map { return g.vars }, func(g *aGroup) *wire.Map { return g.files }} {
		for _, n := range mine {
			for k, v := range of(inv.groups[n]).Strings() {
				out.Set(k, v)
			}
		}
	}
	for k, v := range inv.hosts[id].vars.Strings() {
		out.Set(k, v)
	}
	out.Delete("ansible_group_priority")
	return out
}

// varsFiles reads group_vars and host_vars.
func (r *Roster) varsFiles(inv *inventory, dir string) error {
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
	if err := into("group_vars", "all", inv.group("all", dir).files); err != nil {
		return err
	}
	for _, n := range sortedKeys(inv.groups) {
		if n != "all" {
			if err := into("group_vars", n, inv.groups[n].files); err != nil {
				return err
			}
		}
	}
	for _, n := range inv.order {
		if strings.ContainsAny(n, "/\\") || n == ".." {
			continue
		}
		if err := into("host_vars", n, inv.hosts[n].vars); err != nil {
			return err
		}
	}
	return nil
}

func yamlError(path string, err error) error {
	return &Error{Source: path, Msg: strings.Join(strings.Fields(strings.SplitN(saltyaml.Message(err), "\n", 2)[0]), " "), Err: err}
}

// readInventory reads one source of an inventory.
func (r *Roster) readInventory(ctx context.Context, inv *inventory, path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return &Error{Source: path, Msg: err.Error(), Err: err}
	}
	ext := strings.ToLower(filepath.Ext(path))
	if st.Mode()&0o111 != 0 && !slices.Contains([]string{".yml", ".yaml", ".json", ".ini", ".toml"}, ext) {
		return r.runInventory(ctx, inv, path)
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
			return r.jsonInventory(inv, m, path)
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

// runInventory runs a script that prints an inventory.
func (r *Roster) runInventory(ctx context.Context, inv *inventory, path string) error {
	run := func(arg ...string) (*wire.Map, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, abs, arg...)
		cmd.Dir = filepath.Dir(abs)
		cmd.WaitDelay = 5 * time.Second
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		var complaint strings.Builder
		cmd.Stderr = &limited{w: &complaint, n: 4096}
		if err := cmd.Start(); err != nil {
			return nil, &Error{Source: path, Msg: "run the inventory: " + err.Error(), Err: err, Hint: "a file of INI is not to be executable"}
		}
		b, rerr := io.ReadAll(io.LimitReader(out, maxFile))
		if err := cmd.Wait(); err != nil {
			msg := fmt.Sprintf("%s %s: %s", filepath.Base(path), strings.Join(arg, " "), err)
			if text := strings.Join(strings.Fields(complaint.String()), " "); text != "" {
				msg += ": " + text
			}
			return nil, &Error{Source: path, Msg: msg, Err: err}
		}
		if rerr != nil {
			return nil, rerr
		}
		v, err := saltyaml.LoadJSON(string(b))
		if err != nil {
			return nil, &Error{Source: path, Msg: "what it prints is no JSON: " + strings.SplitN(err.Error(), "\n", 2)[0], Err: err}
		}
		m, ok := v.(*wire.Map)
		if !ok {
			return nil, &Error{Source: path, Msg: "it prints " + kindOf(v) + ", and has to print a map of groups"}
		}
		return m, nil
	}
	m, err := run("--list")
	if err != nil {
		return err
	}
	if err := r.jsonInventory(inv, m, path); err != nil {
		return err
	}
	if m.Map("_meta").Has("hostvars") {
		return nil
	}
	// Without _meta a script tells the variables host by host.
	for _, id := range slices.Clone(inv.order) {
		vars, err := run("--host", id)
		if err != nil {
			return err
		}
		for k, v := range vars.Strings() {
			inv.hosts[id].vars.Set(k, v)
		}
	}
	return nil
}

// limited takes all that is written and keeps the first part.
type limited struct {
	w io.Writer
	n int
}

func (l *limited) Write(p []byte) (int, error) {
	k := min(len(p), l.n)
	l.n -= k
	if _, err := l.w.Write(p[:k]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// jsonInventory reads what a script prints, and ansible-inventory --list.
func (r *Roster) jsonInventory(inv *inventory, m *wire.Map, path string) error {
	for name, v := range m.Strings() {
		if name == "_meta" {
			continue
		}
		g := inv.group(name, path)
		hosts, _ := v.([]any)
		if gm, ok := v.(*wire.Map); ok {
			if !gm.Has("hosts") && !gm.Has("vars") && !gm.Has("children") {
				// A host, by the oldest form.
				delete(inv.groups, name)
				h := inv.host(name, path)
				for k, v := range gm.Strings() {
					h.vars.Set(k, v)
				}
				continue
			}
			hosts = gm.List("hosts")
			for _, c := range gm.List("children") {
				addOnce(&g.children, fmt.Sprint(c))
				inv.group(fmt.Sprint(c), path)
			}
			for k, v := range gm.Map("vars").Strings() {
				g.vars.Set(k, v)
			}
		} else if hosts == nil && v != nil {
			return &Error{Source: path, Host: name, Msg: "the group is " + kindOf(v) + ", and has to be a list of hosts, or a map"}
		}
		for _, h := range hosts {
			id := fmt.Sprint(h)
			inv.host(id, path)
			addOnce(&g.hosts, id)
		}
	}
	for id, v := range m.Map("_meta").Map("hostvars").Strings() {
		h := inv.host(id, path)
		if vars, ok := v.(*wire.Map); ok {
			for k, v := range vars.Strings() {
				h.vars.Set(k, v)
			}
		}
	}
	return nil
}

// yamlInventory reads groups as YAML has them.
func (r *Roster) yamlInventory(inv *inventory, m *wire.Map, place func(...any) string, path string) error {
	var read func(name string, v any, at []any) error
	read = func(name string, v any, at []any) error {
		g := inv.group(name, place(at...))
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
					g.vars.Set(k, v)
				}
			case "children":
				for c, v := range sub.Strings() {
					addOnce(&g.children, c)
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
						h := inv.host(n, source)
						addOnce(&g.hosts, n)
						if port != 0 {
							h.vars.Set("ansible_port", int64(port))
						}
						for k, v := range vars.Strings() {
							h.vars.Set(k, v)
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
func (r *Roster) iniInventory(inv *inventory, path, text string) error {
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
				inv.group(group, source)
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
			inv.group(group, source).vars.Set(strings.TrimSpace(k), literal(v))
		case "children":
			c := strings.TrimSpace(strings.SplitN(line, " #", 2)[0])
			addOnce(&inv.group(group, source).children, c)
		default:
			words, err := shellWords(line)
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
				h := inv.host(id, source)
				addOnce(&inv.group(group, source).hosts, id)
				if port != 0 {
					h.vars.Set("ansible_port", int64(port))
				}
				for _, w := range words[1:] {
					k, v, ok := strings.Cut(w, "=")
					if !ok {
						return &Error{Source: source, Host: id, Msg: fmt.Sprintf("%q is not of the form name=value", w), Hint: "one host a line; quote a value with blanks"}
					}
					h.vars.Set(k, literal(v))
				}
			}
		}
	}
	return nil
}
