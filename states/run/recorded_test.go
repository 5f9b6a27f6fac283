package run_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
	"github.com/gosalt/gosalt/states/modules"
	"github.com/gosalt/gosalt/states/run"
)

var recorded = flag.String("recorded", "", "a further file of recorded runs, as JSON")

// commands are the few functions that the recorded runs call, without a minion.
func commands() *module.Registry {
	r := module.NewRegistry()
	type cmdArgs struct {
		Cmd    string
		Kwargs *wire.Map `arg:"**"`
	}
	type runArgs struct {
		Cmd    string    `arg:"cmd"`
		Kwargs *wire.Map `arg:"**"`
	}
	code := func(cmd string) int64 {
		err := exec.Command("/bin/sh", "-c", cmd).Run()
		if err == nil {
			return 0
		}
		return int64(err.(*exec.ExitError).ExitCode())
	}
	module.Register(r, "cmd.retcode", func(_ context.Context, _ *module.Call, a cmdArgs) (int64, error) { return code(a.Cmd), nil })
	module.Register(r, "cmd.run_all", func(_ context.Context, _ *module.Call, a runArgs) (*wire.Map, error) {
		return wire.NewMap("pid", int64(1), "retcode", code(a.Cmd), "stdout", "", "stderr", ""), nil
	})
	module.Register(r, "test.true", func(context.Context, *module.Call, struct{}) (bool, error) { return true, nil })
	module.Register(r, "test.false", func(context.Context, *module.Call, struct{}) (bool, error) { return false, nil })
	return r
}

// inCall hands a Call with functions to f, as a job would.
func inCall(t *testing.T, f func(context.Context, *module.Call)) {
	t.Helper()
	r := commands()
	module.Register(r, "t.t", func(ctx context.Context, c *module.Call, _ struct{}) (any, error) {
		f(ctx, c)
		return nil, nil
	})
	if res := r.Run(t.Context(), &module.Call{}, "t.t", nil, nil); res.Err != nil {
		t.Fatal(res.Return)
	}
}

// TestRecorded runs low chunks with requisites of all kinds and compares with what Salt
// 3006.18 made of the same chunks.
func TestRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	if *recorded != "" {
		files = append(files, *recorded)
	}
	reg := modules.New()
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if b, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		v, err := pytext.ParseJSON(string(b))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range v.([]any) {
			one(t, reg, fmt.Sprintf("%s#%d", filepath.Base(file), i), c.(*wire.Map))
		}
	}
}

func one(t *testing.T, reg *states.Registry, title string, c *wire.Map) {
	inCall(t, func(ctx context.Context, call *module.Call) {
		var low []*wire.Map
		for _, l := range c.List("low") {
			low = append(low, l.(*wire.Map))
		}
		before := pytext.Repr(c.List("low"))
		got := run.New(reg, call, run.Options{Test: c.Bool("test"), FailHard: c.Bool("failhard")}).Run(ctx, low)
		want := c.Map("want")
		var bad []string
		for tag, w := range want.Strings() {
			g := got.Map(tag)
			if g == nil {
				bad = append(bad, fmt.Sprintf("%s: no result", tag))
				continue
			}
			for k, v := range w.(*wire.Map).Strings() {
				gv, ok := g.Get(k)
				if k == "changes" && gv.(*wire.Map).Has("pid") {
					gv.(*wire.Map).Delete("pid")
				}
				if !ok || !same(k, gv, v) {
					bad = append(bad, fmt.Sprintf("%s: %s is %s, Salt has %s", tag, k, pytext.Repr(gv), pytext.Repr(v)))
				}
			}
		}
		for tag := range got.Strings() {
			if !want.Has(tag) {
				bad = append(bad, fmt.Sprintf("%s: Salt has no such result", tag))
			}
		}
		if len(bad) > 0 {
			t.Errorf("%s (test %v, failhard %v):\n%s\n%s", title, c.Bool("test"), c.Bool("failhard"), strings.ReplaceAll(before, "}, {'state'", "},\n {'state'"), strings.Join(bad, "\n"))
		}
	})
}

// same compares two values. The requisites that failed are named in no order by Salt.
func same(key string, a, b any) bool {
	if key == "comment" {
		x, y := fmt.Sprint(a), fmt.Sprint(b)
		const failed = "One or more requisite failed: "
		if rest, ok := strings.CutPrefix(x, failed); ok && strings.HasPrefix(y, failed) {
			p, q := strings.Split(rest, ", "), strings.Split(strings.TrimPrefix(y, failed), ", ")
			slices.Sort(p)
			slices.Sort(q)
			return slices.Equal(p, q)
		}
		return x == y
	}
	return pytext.Repr(a) == pytext.Repr(b)
}
