package modules

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["environ"] = `get has_value item items setenv setval`
}

// inOneJob runs f as a function of a job, so that it can call others in it.
func inOneJob(t *testing.T, r *module.Registry, call *module.Call, f func(ctx context.Context, c *module.Call)) {
	t.Helper()
	module.Register(r, "testjob.run", func(ctx context.Context, c *module.Call, a noArgs) (bool, error) {
		f(ctx, c)
		return true, nil
	})
	if res := r.Run(t.Context(), call, "testjob.run", nil, nil); !res.Success {
		t.Fatalf("job: %+v", res)
	}
}

// onlyEnv makes these the environment of the test.
func onlyEnv(t *testing.T, vars ...string) {
	t.Helper()
	old := os.Environ()
	t.Cleanup(func() {
		os.Clearenv()
		for _, e := range old {
			for i := 1; i < len(e); i++ {
				if e[i] == '=' {
					os.Setenv(e[:i], e[i+1:])
					break
				}
			}
		}
	})
	os.Clearenv()
	for i := 0; i < len(vars); i += 2 {
		os.Setenv(vars[i], vars[i+1])
	}
}

// TestRecordedEnviron is one sequence of calls in one job.
func TestRecordedEnviron(t *testing.T) {
	onlyEnv(t, "HOME", "/root", "PATH", "/usr/bin")
	b, err := os.ReadFile("testdata/environ.json")
	if err != nil {
		t.Fatal(err)
	}
	var calls []recorded
	if err := json.Unmarshal(b, &calls); err != nil {
		t.Fatal(err)
	}
	inOneJob(t, New(), &module.Call{}, func(ctx context.Context, c *module.Call) {
		for i, rec := range calls {
			args, _ := fromJSON(t, rec.Args).([]any)
			kwargs, _ := fromJSON(t, rec.Kwargs).(*wire.Map)
			got, err := c.Call(ctx, rec.Fun, args, kwargs)
			if want := fromJSON(t, rec.Return); err != nil || !pytext.Equal(got, want) {
				t.Errorf("call %d, %s%s%s: got %v, %v; Salt %v", i, rec.Fun, rec.Args, rec.Kwargs, got, err, want)
			}
		}
	})
	if os.Getenv("HOME") != "/root" || os.Getenv("GS_A") != "" {
		t.Errorf("the job changed the minion's environment: %v", os.Environ())
	}
}

// TestEnvironUpdateMinion: later jobs see what was set with update_minion only.
func TestEnvironUpdateMinion(t *testing.T) {
	onlyEnv(t, "GS_GONE", "x")
	r := New()
	r.Run(t.Context(), nil, "environ.setenv", []any{wire.NewMap("GS_A", "job")}, nil)
	r.Run(t.Context(), nil, "environ.setenv", []any{wire.NewMap("GS_B", "minion", "GS_GONE", false)},
		wire.NewMap("update_minion", true, "false_unsets", true))
	got := r.Run(t.Context(), nil, "environ.items", nil, nil).Return
	if want := wire.NewMap("GS_B", "minion"); !pytext.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
