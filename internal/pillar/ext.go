package pillar

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Source is one kind of ext_pillar: values that come from a program, another machine or
// files that are no SLS. It is called for one minion at a time, and by many goroutines.
// What it returns is laid over the pillar; nil is nothing.
type Source func(ctx context.Context, q SourceRequest) (any, error)

// SourceRequest is what a Source works with.
type SourceRequest struct {
	ID     wire.MinionID
	Pillar *wire.Map // as it is up to here; read only
	// Args are what stands below the source's name in ext_pillar: text, list or map.
	Args any
	// Extra is what the minion's option pass_to_ext_pillars sent along; never nil.
	Extra   *wire.Map
	Opts    *wire.Map // with the minion's id and grains; read only
	Secrets *secret.Set
	Log     *slog.Logger

	// Compile compiles the SLS files of another tree for the same minion, without
	// ext_pillar and without the values of the call.
	Compile func(ctx context.Context, o TreeOptions) (*wire.Map, []string)
	// Fail notes errors for the pillar's entry _errors; what the source returns counts all
	// the same.
	Fail func(errs ...string)
	// Render runs a pipe of renderers over a text; pipe is what a text without "#!" goes
	// through, "" the option renderer.
	Render func(ctx context.Context, text, path, pipe string, white, black []string) (any, error)
}

// TreeOptions say how SourceRequest.Compile works.
type TreeOptions struct {
	Tree      Tree
	Pillarenv string // the only environment; "" for all
	// Options take the place of the master's for this tree.
	Options *wire.Map
}

// onDemand is the ext_pillar that the minion asked for, where it may.
func (run *compilation) onDemand() *wire.Map {
	if run.req.Ext == nil || !isTrue(run.req.Ext) {
		return nil
	}
	ext, ok := run.req.Ext.(*wire.Map)
	if !ok {
		run.log.Error("the on-demand pillar is not formatted as a dictionary", "type", pytext.TypeName(run.req.Ext))
		return nil
	}
	allowed := run.opts.List("on_demand_ext_pillar")
	var not []string
	for k := range ext.All() {
		if !slices.ContainsFunc(allowed, func(a any) bool { return a == k }) {
			not = append(not, pytext.Str(k))
		}
	}
	if len(not) > 0 {
		slices.Sort(not)
		names := make([]string, len(allowed))
		for i, a := range allowed {
			names[i] = pytext.Str(a)
		}
		run.log.Error("a minion asked for ext_pillar modules that are not allowed for on-demand pillar data: see the option on_demand_ext_pillar",
			"modules", strings.Join(not, ", "), "allowed", strings.Join(names, ", "))
		return nil
	}
	return ext
}

// malformedExt is Salt's text for an ext_pillar that is no list of maps.
const malformedExt = `The "ext_pillar" option is malformed`

// extPillars lays the values of ext_pillar over the pillar.
func (run *compilation) extPillars(pillar *wire.Map) *wire.Map {
	option, _ := run.opts.Get("ext_pillar")
	demanded := run.onDemand()
	if option == nil && demanded == nil {
		return pillar
	}
	if option == nil {
		option = []any{}
	}
	list, ok := option.([]any)
	if !ok {
		run.fail(malformedExt+": a list is expected, not "+pytext.TypeName(option), "option", "ext_pillar")
		return pillar
	}
	if demanded != nil {
		list = append(slices.Clone(list), demanded)
	}
	if run.req.Override.Len() > 0 {
		pillar = run.lay(pillar, run.req.Override, "the values of the call (pillar=)")
	}
	excluded := run.opts.List("exclude_ext_pillar")
	for i, item := range list {
		entry, ok := item.(*wire.Map)
		if !ok {
			run.fail(fmt.Sprintf("%s: entry %d is to be a map with the name of a source, not %s", malformedExt, i+1, pytext.TypeName(item)), "option", "ext_pillar")
			return wire.NewMap()
		}
		var ext any
		first, name := true, ""
		for k, args := range entry.All() {
			name = pytext.Str(k)
			if first && slices.ContainsFunc(excluded, func(e any) bool { return e == k }) {
				break
			}
			first = false
			// Of several sources in one entry the last counts, as in Salt.
			if v, ok := run.extPillar(pillar, name, args); ok {
				ext = v
			}
		}
		if run.ctx.Err() != nil {
			return pillar
		}
		if isTrue(ext) {
			if _, ok := asMap(ext); !ok {
				run.fail(fmt.Sprintf("Failed to load ext_pillar %s: it gave %s, and a map is expected", name, pytext.TypeName(dictmerge.Plain(ext))))
				continue
			}
			pillar = run.lay(pillar, ext, "ext_pillar "+name)
			if m, ok := dictmerge.Plain(ext).(*wire.Map); ok {
				run.note(Part{Kind: "ext_pillar", Ext: name, Data: m})
			}
		}
	}
	return pillar
}

// extPillar asks one source.
func (run *compilation) extPillar(pillar *wire.Map, name string, args any) (v any, ok bool) {
	source := run.cfg.Ext[name]
	if source == nil {
		known := strings.Join(slices.Sorted(maps.Keys(run.cfg.Ext)), ", ")
		// Salt goes on without a word to the minion, which then works with half a pillar.
		run.fail(fmt.Sprintf("Specified ext_pillar interface %s is unavailable: there are %s", name, known), "option", "ext_pillar")
		return nil, false
	}
	extra := run.req.Extra
	if extra == nil {
		extra = wire.NewMap()
	}
	log := run.log.With("ext_pillar", name)
	v, err := source(run.ctx, SourceRequest{ID: run.req.ID, Pillar: pillar, Args: args, Extra: extra, Opts: run.opts, Secrets: run.secrets, Log: log,
		Compile: run.compileTree, Render: run.renderText, Fail: func(errs ...string) { run.errors = append(run.errors, errs...) }})
	if err != nil {
		run.errors = append(run.errors, fmt.Sprintf("Failed to load ext_pillar %s: %v", name, err))
		log.Error("ext_pillar failed", "error", err)
		return nil, false
	}
	return v, true
}

// renderText is SourceRequest.Render.
func (run *compilation) renderText(ctx context.Context, text, path, pipe string, white, black []string) (any, error) {
	res, err := run.rend.Render(ctx, render.Source{Text: text, Path: path, Pipe: pipe, Env: "base", Whitelist: white, Blacklist: black})
	if err != nil {
		return nil, err
	}
	return res.Data, nil
}

// compileTree is SourceRequest.Compile.
func (run *compilation) compileTree(ctx context.Context, o TreeOptions) (*wire.Map, []string) {
	sub := *run
	sub.ctx, sub.tree = ctx, o.Tree
	sub.opts = run.opts.Clone()
	for k, v := range o.Options.All() {
		sub.opts.SetAny(k, v)
	}
	sub.opts.Delete("ext_pillar")
	if o.Pillarenv != "" {
		sub.opts.Set("pillarenv", o.Pillarenv)
	}
	req := *run.req
	req.Override = nil
	sub.req = &req
	sub.errors, sub.parts = nil, nil
	sub.avail, sub.ignored = map[string][]string{}, map[string]map[string]bool{}
	sub.rend = sub.renderer(run.opts.Map("grains"), run.opts.Map("pillar"))
	top, topErrors := sub.top()
	pillar := sub.files(sub.matches(top, wire.NewMap()))
	run.parts = append(run.parts, sub.parts...)
	return pillar, append(sub.errors, topErrors...)
}
