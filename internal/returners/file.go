package returners

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// local prints what it gets.
type local struct{ w io.Writer }

// openLocal makes the returner local, which prints results on standard output. It is
// for trying returners out.
func openLocal(Options, Env) (Returner, error) { return local{os.Stdout}, nil }

func (l local) Store(_ context.Context, recs []Record) (int, error) {
	for i, r := range recs {
		if r.Kind == Load {
			continue
		}
		if _, err := fmt.Fprintln(l.w, pytext.Repr(plain(r))); err != nil {
			return i, err
		}
	}
	return len(recs), nil
}

func (local) Close() {}

// plain is what Salt's returners get: of an event its data and tag.
func plain(r Record) *wire.Map {
	if r.Kind != Event {
		return r.Data
	}
	data, _ := r.Data.Get("data")
	return wire.NewMap("data", data, "tag", r.Data.Text("tag"))
}

// rawfile appends lines of JSON to a file.
type rawfile struct{ name string }

// openRawfile makes the returner rawfile_json, which appends each result or event as
// one line of JSON to a file. Option rawfile_json.filename: /var/log/salt/events.
func openRawfile(o Options, _ Env) (Returner, error) {
	return &rawfile{o.Text("rawfile_json", "filename", "/var/log/salt/events")}, nil
}

func (f *rawfile) Store(_ context.Context, recs []Record) (int, error) {
	if err := os.MkdirAll(filepath.Dir(f.name), 0o755); err != nil {
		return 0, err
	}
	w, err := os.OpenFile(f.name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return 0, err
	}
	defer w.Close()
	if err := lockFile(w); err != nil { // Salt's writers lock it too
		return 0, fmt.Errorf("lock %s: %w", f.name, err)
	}
	for i, r := range recs {
		if r.Kind == Load {
			continue
		}
		line, err := JSON(plain(r))
		if err != nil {
			return i, err
		}
		if _, err := w.WriteString(line + "\n"); err != nil {
			return i, err
		}
	}
	return len(recs), nil
}

func (*rawfile) Close() {}
