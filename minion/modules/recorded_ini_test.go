//go:build linux

package modules

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TestRecordedIni holds ini.*, functions and states, to what Salt 3006.18 answered and made
// of the file. Where a state finds nothing to do, Salt writes the file all the same, with
// its own spaces; gosalt leaves it.
func TestRecordedIni(t *testing.T) {
	b, err := os.ReadFile("testdata/ini.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		File, After *string
		Fun         string
		State, Test bool
		Args        json.RawMessage
		Kwargs, Ret json.RawMessage
		Retcode     int
	}
	if err := json.Unmarshal(b, &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		before := "none"
		if row.File != nil {
			before = *row.File
		}
		name := row.Fun + string(row.Args) + string(row.Kwargs)
		if row.Test {
			name += " test"
		}
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "f.ini")
			if row.File != nil {
				if err := os.WriteFile(file, []byte(*row.File), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			kwargs, _ := fromJSON(t, row.Kwargs).(*wire.Map)
			ret := strings.ReplaceAll(string(row.Ret), "/tmp/f.ini", file)
			want := fromJSON(t, []byte(ret))
			changed := true
			if row.State {
				m := newStateMachine(t, json.RawMessage("null"))
				got := m.apply(t, row.Fun, file, kwargs, row.Test)
				changed = got.Map("changes").Len() > 0
				if why := iniDiffers(row.Fun, string(row.Kwargs), row.Test, got); why != "" {
					return
				}
				if said := sameResult(got, want.(*wire.Map)); said != "" {
					t.Errorf("%q%s\ngot  %s\nSalt %s", before, said, pytext.Repr(got), pytext.Repr(want))
				}
			} else {
				args, _ := fromJSON(t, row.Args).([]any)
				res := New().Run(t.Context(), &module.Call{Job: &module.Job{Pub: wire.NewMap()}}, row.Fun, append([]any{file}, args...), kwargs)
				text, _ := want.(string)
				switch {
				case strings.HasPrefix(text, "The minion function caused an exception"):
					if res.Retcode == 0 {
						t.Errorf("%q: Salt fails, got %s", before, pytext.Repr(res.Return))
					}
					return
				case pytext.Repr(res.Return) != pytext.Repr(want) || res.Retcode != row.Retcode:
					t.Errorf("%q\ngot  %s, retcode %d\nSalt %s, retcode %d", before, pytext.Repr(res.Return), res.Retcode, pytext.Repr(want), row.Retcode)
				}
			}
			after := row.After
			if row.State && !changed {
				after = row.File
			}
			text, err := os.ReadFile(file)
			switch {
			case after == nil && err == nil:
				t.Errorf("%q became %q, with Salt there is no file", before, text)
			case after != nil && string(text) != *after:
				t.Errorf("%q became\n%q, with Salt\n%q (%v)", before, text, *after, err)
			}
		})
	}
}

// iniDiffers says why a result is not Salt's.
func iniDiffers(fun, kwargs string, test bool, got *wire.Map) string {
	switch {
	case fun == "ini.options_present" && test && strings.Contains(kwargs, "strict"):
		return "Salt tells what it removes in the order of a Python set"
	case fun == "ini.options_absent" && test && strings.Contains(kwargs, `{"":`):
		return "Salt's test=True does not see options that are in no section"
	case fun == "ini.sections_absent" && got.Map("changes").Map("a").Len() == 0 && got.Map("changes").Has("a"):
		return "Salt does not tell that it removed a section without options"
	}
	return ""
}
