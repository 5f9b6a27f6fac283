package modules

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("state.request", stateRequest, module.Outputter("highstate"), module.Positional("mods"))
	register("state.check_request", stateCheckRequest)
	register("state.clear_request", stateClearRequest)
	register("state.run_request", stateRunRequest, module.Outputter("highstate"), module.Positional("name"))
	register("state.disable", stateDisable)
	register("state.enable", stateEnable)
	register("state.list_disabled", stateListDisabled)
	register("state.clear_cache", stateClearCache)
}

func requestPath(c *module.Call) string { return filepath.Join(c.CacheDir, "req_state.p") }

// readRequests reads the runs that wait to be confirmed, by name.
func readRequests(c *module.Call) (*wire.Map, error) {
	b, err := os.ReadFile(requestPath(c))
	if errors.Is(err, fs.ErrNotExist) {
		return wire.NewMap(), nil
	}
	if err != nil {
		return nil, err
	}
	return wire.DecodeMap(b, wire.Local, wire.Authenticated)
}

func writeRequests(c *module.Call, m *wire.Map) error {
	if m.Len() == 0 {
		err := os.Remove(requestPath(c))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	b, err := wire.Encode(m, wire.Local)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.CacheDir, 0o755); err != nil { // the first that a masterless machine keeps
		return err
	}
	return durable.WriteFile(requestPath(c), b, 0o600)
}

type stateRequestArgs struct {
	Mods any `default:"None"` // SLS files, a list or with commas; none means what the top file assigns.
	// Name under which the request is kept.
	Name string `default:"default" arg:"name,kw"`
	// The arguments of state.apply.
	Kwargs *wire.Map `arg:"**"`
}

// stateRequest says what state.apply would do, and keeps the request for state.run_request.
//
// CLI Example:
//
//	salt '*' state.request web
func stateRequest(ctx context.Context, c *module.Call, a stateRequestArgs) (any, error) {
	kwargs := ownKeywords(a.Kwargs)
	test := kwargs.Clone()
	test.Set("test", true)
	ret, err := c.Call(ctx, "state.apply", []any{a.Mods}, test)
	if err != nil {
		return nil, err
	}
	all, err := readRequests(c)
	if err != nil {
		return nil, err
	}
	all.Set(a.Name, wire.NewMap("test_run", ret, "mods", a.Mods, "kwargs", kwargs))
	return ret, writeRequests(c, all)
}

// ownKeywords are the keywords that a caller gave, without those that a job brings along.
func ownKeywords(kwargs *wire.Map) *wire.Map {
	out := wire.NewMap()
	for k, v := range kwargs.Strings() {
		if !strings.HasPrefix(k, "__") {
			out.Set(k, v)
		}
	}
	return out
}

type stateRequestNameArgs struct {
	Name string `default:"None"` // Name of the request; by default all.
}

// stateCheckRequest shows the requests that are kept.
//
// CLI Example:
//
//	salt '*' state.check_request
func stateCheckRequest(_ context.Context, c *module.Call, a stateRequestNameArgs) (any, error) {
	all, err := readRequests(c)
	if err != nil || a.Name == "" {
		return all, err
	}
	one := all.Map(a.Name)
	if one == nil {
		return nil, module.Failf("there is no request named %s", a.Name)
	}
	return one, nil
}

// stateClearRequest forgets a request, or all.
//
// CLI Example:
//
//	salt '*' state.clear_request
func stateClearRequest(_ context.Context, c *module.Call, a stateRequestNameArgs) (bool, error) {
	all, err := readRequests(c)
	if err != nil {
		return false, err
	}
	if a.Name == "" {
		return true, writeRequests(c, wire.NewMap())
	}
	if !all.Has(a.Name) {
		return all.Len() == 0, nil
	}
	all.Delete(a.Name)
	return true, writeRequests(c, all)
}

type stateRunRequestArgs struct {
	Name   string    `default:"default"` // Name of the request.
	Kwargs *wire.Map `arg:"**"`          // Arguments of state.apply in place of those of the request.
}

// stateRunRequest does what was requested by state.request.
//
// CLI Example:
//
//	salt '*' state.run_request
func stateRunRequest(ctx context.Context, c *module.Call, a stateRunRequestArgs) (any, error) {
	all, err := readRequests(c)
	if err != nil {
		return nil, err
	}
	req := all.Map(a.Name)
	if req == nil {
		return wire.NewMap(), nil
	}
	kwargs := req.Map("kwargs").Clone()
	for k, v := range ownKeywords(a.Kwargs).Strings() {
		kwargs.Set(k, v)
	}
	mods, _ := req.Get("mods")
	ret, err := c.Call(ctx, "state.apply", []any{mods}, kwargs)
	if err != nil {
		return nil, err
	}
	all.Delete(a.Name)
	return ret, writeRequests(c, all)
}

type stateNamesArgs struct {
	States any // SLS files or state functions, a list or with commas: highstate, web, pkg.*.
}

// stateDisable turns SLS files or state functions off on this machine.
//
// CLI Example:
//
//	salt '*' state.disable highstate,test.*
func stateDisable(ctx context.Context, c *module.Call, a stateNamesArgs) (*wire.Map, error) {
	return changeDisabled(ctx, c, a, func(off []any, name string) ([]any, string) {
		if slices.Contains(off, any(name)) {
			return off, "Info: " + name + " state already disabled."
		}
		return append(off, name), "Info: " + name + " state disabled."
	})
}

// stateEnable turns SLS files or state functions on again.
//
// CLI Example:
//
//	salt '*' state.enable highstate
func stateEnable(ctx context.Context, c *module.Call, a stateNamesArgs) (*wire.Map, error) {
	return changeDisabled(ctx, c, a, func(off []any, name string) ([]any, string) {
		i := slices.Index(off, any(name))
		if i < 0 {
			return off, "Info: " + name + " state already enabled."
		}
		return slices.Delete(off, i, i+1), "Info: " + name + " state enabled."
	})
}

func changeDisabled(ctx context.Context, c *module.Call, a stateNamesArgs, change func([]any, string) ([]any, string)) (*wire.Map, error) {
	off := slices.Clone(c.Grains().List("state_runs_disabled"))
	before := len(off)
	var msg []string
	for _, name := range splitInput(a.States) {
		var line string
		off, line = change(off, name)
		msg = append(msg, line)
	}
	if len(off) != before {
		if off == nil {
			off = []any{}
		}
		if _, err := c.Call(ctx, "grains.setval", []any{"state_runs_disabled", off}, nil); err != nil {
			return nil, err
		}
	}
	return wire.NewMap("res", true, "msg", strings.Join(msg, "\n")), nil
}

// stateListDisabled lists what is turned off on this machine.
//
// CLI Example:
//
//	salt '*' state.list_disabled
func stateListDisabled(_ context.Context, c *module.Call, _ noArgs) (any, error) {
	v, ok := c.Grains().Get("state_runs_disabled")
	if !ok {
		return "", nil
	}
	return v, nil
}

// stateClearCache removes the compiled states that are kept: none, as gosalt compiles
// them anew for each run.
//
// CLI Example:
//
//	salt '*' state.clear_cache
func stateClearCache(context.Context, *module.Call, noArgs) ([]any, error) { return []any{}, nil }
