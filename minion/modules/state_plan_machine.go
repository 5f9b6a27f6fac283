package modules

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// machine notes what the results of a plan do not tell of the machine, for states that
// would change it: the contents of files whose differences are not shown, and which
// versions of packages there are. The keys are for people: "the file /etc/motd".
func (p *planner) machine(ctx context.Context, chunks []*wire.Map, results *wire.Map) *wire.Map {
	out := wire.NewMap()
	for _, low := range chunks {
		if res := results.Map(states.Tag(low)); res == nil || field(res, "result") != nil {
			continue
		}
		switch low.Text("state") {
		case "file":
			name := low.Text("name")
			if h := p.contents(ctx, name); h != "" {
				out.Set("the file "+name, p.mark(h))
			}
		case "pkg":
			p.packages(ctx, low, out)
		}
	}
	return out
}

// planFileMost is how large a file may be whose contents a plan notes: a plan is not to
// read disks.
const planFileMost = 256 << 20

// contents is the hash of a regular file, "" where there is none.
func (p *planner) contents(ctx context.Context, name string) string {
	if !strings.HasPrefix(name, "/") {
		return ""
	}
	path := p.c.Host.Path(name)
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > planFileMost || ctx.Err() != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, planFileMost)); err != nil {
		return ""
	}
	return string(h.Sum(nil))
}

// packages notes the versions of a chunk's packages that are there, and that could be.
func (p *planner) packages(ctx context.Context, low, out *wire.Map) {
	var names []string
	for _, v := range low.List("pkgs") {
		switch v := v.(type) {
		case string:
			names = append(names, v)
		case *wire.Map:
			for name := range v.Strings() {
				names = append(names, name)
			}
		}
	}
	if !low.Has("pkgs") && !low.Has("sources") {
		names = []string{low.Text("name")}
	}
	code := p.c.Retcode()
	defer p.c.SetRetcode(code) // to ask is no failure
	const key = "the package "
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" || out.Has(key+name) })
	if len(names) == 0 {
		return
	}
	ask := make([]any, len(names)) // of all at once: each question goes through the package manager's list
	for i, name := range names {
		ask[i] = name
	}
	have, err := p.c.Call(ctx, "pkg.version", ask, nil)
	if err != nil {
		return // no package manager: the state tells of it
	}
	next, err := p.c.Call(ctx, "pkg.latest_version", ask, wire.NewMap("refresh", false))
	if err != nil {
		next = nil
	}
	for _, name := range names {
		text := versionIn(have, name)
		if text == "" {
			text = "not there"
		}
		if newer := versionIn(next, name); newer != "" {
			text += ", to have in version " + newer
		}
		out.Set(key+name, text)
	}
}

// versionIn is a package's version in an answer of pkg.version or pkg.latest_version: a
// map where several were asked for, or a name with a pattern.
func versionIn(answer any, name string) string {
	switch m := answer.(type) {
	case nil:
		return ""
	case *wire.Map:
		if m.Has(name) {
			return m.Text(name)
		}
		if !strings.Contains(name, "*") {
			return ""
		}
	}
	return pytext.Str(answer)
}

// machineDiff says what of the machine a plan was made for is another now.
func machineDiff(was, now *wire.Map) (out []string) {
	for key := range bothKeys(was, now) {
		a, b := was.Text(key), now.Text(key)
		switch {
		case a == b:
		case strings.HasPrefix(key, "the package ") && was.Has(key) && now.Has(key):
			out = append(out, key+" was: "+a+"; now: "+b)
		case !was.Has(key):
			out = append(out, key+" is there now")
		case !now.Has(key):
			out = append(out, key+" is gone, or no longer to be changed")
		default:
			out = append(out, key+" was changed")
		}
	}
	return out
}

// editedResult finds a result that a plan shows and that is not the one of which it was
// made: somebody has edited it. Secrets are masked in what it shows.
func editedResult(shown, made *wire.Map) (tag string) {
	for tag := range bothKeys(shown, made) {
		a, b := shown.Map(tag), made.Map(tag)
		if a == nil || b == nil {
			return tag
		}
		for _, key := range []string{"name", "result", "changes"} {
			if !masked(asRead(field(a, key)), asRead(field(b, key))) {
				return tag
			}
		}
	}
	return ""
}

// asRead is a value's text as it is when it has been in a file.
func asRead(v any) string {
	text, err := pytext.JSON(v, -1, false)
	if err != nil {
		return pytext.Repr(v)
	}
	return text
}

// masked tells whether text is the other one, or that with secrets hidden in it.
func masked(text, full string) bool {
	parts := strings.Split(text, secret.Mask)
	if len(parts) == 1 {
		return text == full
	}
	last := len(parts) - 1
	if !strings.HasPrefix(full, parts[0]) || !strings.HasSuffix(full[len(parts[0]):], parts[last]) {
		return false
	}
	full = full[len(parts[0]) : len(full)-len(parts[last])]
	for _, part := range parts[1:last] {
		i := strings.Index(full, part)
		if i < 0 {
			return false
		}
		full = full[i+len(part):]
	}
	return true
}
