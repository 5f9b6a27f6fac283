package roster

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// tfFields are the attributes of a salt_host that are keys of a roster.
var tfFields = []string{"host", "user", "passwd", "port", "sudo", "sudo_user", "tty", "priv", "timeout", "minion_opts", "thin_dir", "cmd_umask"}

// A tfState is what we look at in Terraform's state, of its version 4 (resources) and of
// those before 0.12 (modules).
type tfState struct {
	Resources []struct {
		Type      string
		Name      string
		Instances []struct {
			Attributes map[string]any
		}
	}
	Modules []struct {
		Resources map[string]struct {
			Type    string
			Primary struct {
				ID         string
				Attributes map[string]any
			}
		}
	}
}

// loadTerraform reads the resources salt_host of a state file of Terraform.
func loadTerraform(_ context.Context, r *Roster) error {
	path := r.cfg.File
	if path == "" {
		path = "terraform.tfstate"
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if !strings.HasSuffix(path, ".tfstate") {
		return &Error{Source: path, Msg: "the roster terraform reads state files, named *.tfstate"}
	}
	text, err := readFile(path)
	if err != nil {
		return err
	}
	var st tfState
	if err := json.Unmarshal([]byte(text), &st); err != nil {
		return &Error{Source: path, Msg: "it is no state of Terraform: " + err.Error(), Err: err}
	}
	if st.Resources == nil && st.Modules == nil {
		return &Error{Source: path, Msg: "it is no state of Terraform: it has neither resources nor modules"}
	}
	n := 0
	add := func(name string, attrs map[string]any, fallback string) {
		n++
		id, _ := attrs["salt_id"].(string)
		if id == "" {
			id = fallback
		}
		entry := wire.NewMap()
		for _, key := range tfFields {
			v := attrs[key]
			if key == "minion_opts" {
				m := wire.NewMap()
				opts, _ := v.(map[string]any)
				for k, val := range opts {
					m.Set(k, fromJSON(val))
				}
				// Old states have maps as "minion_opts.key".
				for k, val := range attrs {
					if name, ok := strings.CutPrefix(k, "minion_opts."); ok && name != "%" {
						m.Set(name, fromJSON(val))
					}
				}
				if m.Len() > 0 {
					entry.Set(key, m)
				}
				continue
			}
			if v == nil || v == "" {
				continue
			}
			if f, ok := v.(float64); ok && key == "port" && f == 0 {
				continue
			}
			if key == "cmd_umask" {
				// It is a number there, written as people write a umask.
				v = fmt.Sprintf("%04s", scalar(fromJSON(v)))
			}
			entry.Set(key, fromJSON(v))
		}
		if id == "" {
			r.warn(path, name, "it has no salt_id, and is passed over")
			return
		}
		r.add(r.parseHost(id, entry, func(string) string { return path + ": " + name }))
	}
	for _, res := range st.Resources {
		if res.Type == "salt_host" {
			for i, inst := range res.Instances {
				id, _ := inst.Attributes["id"].(string)
				add(fmt.Sprintf("salt_host.%s[%d]", res.Name, i), inst.Attributes, id)
			}
		}
	}
	for _, m := range st.Modules {
		for name, res := range m.Resources {
			if res.Type == "salt_host" {
				add(name, res.Primary.Attributes, res.Primary.ID)
			}
		}
	}
	if n == 0 {
		r.warn(path, "", "it has no salt_host: such resources of the Terraform provider for Salt are what this roster reads")
	}
	return nil
}

// fromJSON makes a value of ours of one that encoding/json made.
func fromJSON(v any) any {
	switch x := v.(type) {
	case float64:
		if x == float64(int64(x)) {
			return int64(x)
		}
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n
		}
		f, _ := x.Float64()
		return f
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = fromJSON(e)
		}
		return out
	case map[string]any:
		m := wire.NewMap()
		for _, k := range sortedKeys(x) {
			m.Set(k, fromJSON(x[k]))
		}
		return m
	}
	return v
}
