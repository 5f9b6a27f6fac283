package modules

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// editors are the states that change the file of their name and touch nothing else, and
// readers those whose plan follows on what is in it.
var (
	editors = map[string]bool{
		"file.append": true, "file.prepend": true, "file.replace": true, "file.comment": true, "file.uncomment": true, "file.line": true,
		"file.blockreplace": true, "file.keyvalue": true, "file.managed": true, "file.serialize": true, "file.absent": true,
		"ini.options_present": true, "ini.options_absent": true, "ini.sections_present": true, "ini.sections_absent": true,
	}
	readers = map[string]bool{"file.exists": true, "file.missing": true, "file.touch": true, "file.patch": true}
)

// drafts says what a state changes, as far as it can be tried on copies.
func drafts(c *states.Call, low *wire.Map) []states.Draft {
	mod, name := low.Text("state"), low.Text("name")
	full := mod + "." + low.Text("fun")
	switch mod {
	case "file", "ini":
		if editors[full] || readers[full] {
			return []states.Draft{{Path: filepath.Clean(expandUser(c, name))}}
		}
	case "host":
		path := c.Opts.Text("hosts.file")
		if path == "" {
			path = "/etc/hosts"
		}
		return []states.Draft{{Path: path}}
	case "mount":
		path := "/etc/fstab"
		if v, ok := low.Get("config"); ok {
			path = pytext.Str(v)
		}
		if low.Text("fun") == "fstab_present" || low.Text("fun") == "fstab_absent" {
			return []states.Draft{{Path: path}}
		}
	case "cron":
		user := "root"
		if v, ok := low.Get("user"); ok {
			user = pytext.Str(v)
		}
		return []states.Draft{{Path: "crontab:" + user, Now: func(ctx context.Context) (string, error) { return text(ctx, c, "cron.raw_cron", user) }}}
	case "ssh_auth":
		if path := authorizedKeys(c, low); path != "" {
			return []states.Draft{{Path: path}}
		}
	}
	return nil
}

// authorizedKeys is the file that a state of ssh_auth is about; "" where nobody knows.
func authorizedKeys(c *states.Call, low *wire.Map) string {
	path := low.Text("config")
	if path == "" {
		path = ".ssh/authorized_keys"
	}
	u, err := c.Host.User(low.Text("user"))
	if err != nil {
		return ""
	}
	path = strings.NewReplacer("%%", "%", "%u", u.Name, "%h", u.Home).Replace(path)
	if !filepath.IsAbs(path) {
		path = filepath.Join(u.Home, path)
	}
	return path
}
