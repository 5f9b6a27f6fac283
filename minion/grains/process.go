package grains

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// process is what the minion's own process is.
func (c *collector) process() {
	path := strings.TrimSpace(c.m.Env["PATH"])
	c.set("cwd", c.m.Cwd)
	c.set("path", path)
	c.set("systempath", texts(strings.Split(path, string(os.PathListSeparator))))
	c.set("saltpath", filepath.Dir(c.m.Executable))
	c.set("pid", int64(c.m.Pid))
	if c.m.Kernel == "Windows" {
		c.set("shell", either2(c.m.Env["COMSPEC"], `C:\Windows\system32\cmd.exe`))
		c.set("username", c.m.Env["USERNAME"])
	} else {
		user := c.Host.UserName(c.m.UID)
		group := c.m.GID
		if u, err := c.Host.User(user); err == nil {
			group = u.GID
		}
		c.set("shell", either2(c.m.Env["SHELL"], "/bin/sh"))
		c.set("username", user)
		c.set("groupname", c.Host.GroupName(group))
		c.set("uid", int64(c.m.UID))
		c.set("gid", int64(c.m.GID))
	}
	language, encoding := locale(c.m.Env)
	c.set("locale_info", wire.NewMap("defaultlanguage", language, "defaultencoding", encoding,
		"detectedencoding", "utf-8", "timezone", c.m.Zone))
	c.python()
}

func either2(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// locale is the language and encoding that programs use here. Without a locale it
// is English and UTF-8: what Python makes of it too.
func locale(env map[string]string) (language, encoding string) {
	name := ""
	for _, v := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if name = env[v]; name != "" {
			break
		}
	}
	name, _, _ = strings.Cut(name, "@")
	language, encoding, _ = strings.Cut(name, ".")
	if language == "" || language == "C" || language == "POSIX" {
		return "en_US", "UTF-8"
	}
	switch strings.ToLower(encoding) {
	case "utf8", "utf-8":
		encoding = "UTF-8"
	case "":
		encoding = "ISO8859-1"
	}
	return language, encoding
}

// python is the machine's own Python, which formulas look for; a minion of Salt
// would name the one that it brings along.
func (c *collector) python() {
	exe := c.which("python3")
	if exe == "" {
		return
	}
	target, err := filepath.EvalSymlinks(c.Host.Path(exe))
	if err != nil {
		return
	}
	number, ok := strings.CutPrefix(filepath.Base(target), "python")
	major, minor, dotted := strings.Cut(number, ".")
	x, err1 := strconv.ParseInt(major, 10, 64)
	y, err2 := strconv.ParseInt(minor, 10, 64)
	if !ok || !dotted || err1 != nil || err2 != nil {
		return
	}
	c.set("pythonexecutable", exe)
	c.set("pythonversion", []any{x, y})
}
