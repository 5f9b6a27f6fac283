package modules

import (
	"context"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("iptables.chain_present", iptablesChainPresent)
	register("iptables.chain_absent", iptablesChainAbsent)
	register("iptables.append", iptablesAppend)
	register("iptables.insert", iptablesInsert)
	register("iptables.delete", iptablesDelete)
	register("iptables.set_policy", iptablesSetPolicy)
	register("iptables.flush", iptablesFlush)
	hooks("iptables", states.Hooks{Aggregate: iptablesAggregate})
}

// iptablesCall calls a function of iptables.
func iptablesCall(ctx context.Context, c *states.Call, fun string, kv ...any) (any, error) {
	v, err := c.Call.Call(ctx, "iptables."+fun, nil, wire.NewMap(kv...))
	if unavailable(err) {
		err = notFound(c, "'iptables' __virtual__ returned False: iptables module could not be loaded")
	}
	return v, err
}

type iptablesChainArgs struct {
	Name   string // Name of the chain.
	Table  string `default:"filter"` // The table.
	Family string `default:"ipv4"`   // ipv4 or ipv6.
}

// iptablesChainPresent makes sure that there is a chain.
func iptablesChainPresent(ctx context.Context, c *states.Call, a iptablesChainArgs) (*states.Plan, error) {
	there, err := iptablesCall(ctx, c, "check_chain", "table", a.Table, "chain", a.Name, "family", a.Family)
	if err != nil {
		return nil, err
	}
	if there == true {
		return &states.Plan{Fine: fmt.Sprintf("iptables %s chain is already exist in %s table for %s", a.Name, a.Table, a.Family)}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("iptables %s chain in %s table needs to be set for %s", a.Name, a.Table, a.Family),
		Did: fmt.Sprintf("iptables %s chain in %s table create success for %s", a.Name, a.Table, a.Family)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := iptablesCall(ctx, c, "new_chain", "table", a.Table, "chain", a.Name, "family", a.Family)
		if err == nil && v != true {
			err = module.Failf("Failed to create %s chain in %s table: %s for %s", a.Name, a.Table, strings.TrimSpace(pytext.Str(v)), a.Family)
		}
		if err == nil {
			r.Change("locale", a.Name)
		}
		return err
	})
	return p, nil
}

// iptablesChainAbsent makes sure that there is no such chain.
func iptablesChainAbsent(ctx context.Context, c *states.Call, a iptablesChainArgs) (*states.Plan, error) {
	there, err := iptablesCall(ctx, c, "check_chain", "table", a.Table, "chain", a.Name, "family", a.Family)
	if err != nil {
		return nil, err
	}
	if there != true {
		return &states.Plan{Fine: fmt.Sprintf("iptables %s chain is already absent in %s table for %s", a.Name, a.Table, a.Family)}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("iptables %s chain in %s table needs to be removed %s", a.Name, a.Table, a.Family),
		Did: fmt.Sprintf("iptables %s chain in %s table delete success for %s", a.Name, a.Table, a.Family)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := iptablesCall(ctx, c, "flush", "table", a.Table, "chain", a.Name, "family", a.Family)
		if err != nil {
			return err
		}
		if module.Truth(v) {
			return module.Failf("Failed to flush %s chain in %s table: %s for %s", a.Name, a.Table, strings.TrimSpace(pytext.Str(v)), a.Family)
		}
		v, err = iptablesCall(ctx, c, "delete_chain", "table", a.Table, "chain", a.Name, "family", a.Family)
		if err == nil && v != true {
			err = module.Failf("Failed to delete %s chain in %s table: %s for %s", a.Name, a.Table, strings.TrimSpace(pytext.Str(v)), a.Family)
		}
		if err == nil {
			r.Change("locale", a.Name)
		}
		return err
	})
	return p, nil
}

type iptablesRuleArgs struct {
	Name   string    // Anything; with position, so that a rule can be told from others.
	Table  string    `default:"filter"` // The table.
	Family string    `default:"ipv4"`   // ipv4 or ipv6.
	Kwargs *wire.Map `arg:"**"`         // chain; position, of insert and delete; save: True, or a file; and what the rule asks, as for iptables.build_rule.
}

// iptablesAppend makes sure that a chain has a rule, and adds it at its end.
func iptablesAppend(ctx context.Context, c *states.Call, a iptablesRuleArgs) (*states.Plan, error) {
	return iptablesRules(ctx, c, "append", a)
}

// iptablesInsert makes sure that a chain has a rule, and puts it at a place.
func iptablesInsert(ctx context.Context, c *states.Call, a iptablesRuleArgs) (*states.Plan, error) {
	return iptablesRules(ctx, c, "insert", a)
}

// iptablesDelete makes sure that a chain does not have a rule.
func iptablesDelete(ctx context.Context, c *states.Call, a iptablesRuleArgs) (*states.Plan, error) {
	return iptablesRules(ctx, c, "delete", a)
}

// iptablesRule is one rule of a state.
type iptablesRule struct {
	c                   *states.Call
	verb                string
	name, table, family string
	chain               string
	kw                  *wire.Map
	save                any
	rule, command       string
}

func newRule(ctx context.Context, c *states.Call, verb string, a iptablesRuleArgs) (*iptablesRule, error) {
	x := &iptablesRule{c: c, verb: verb, name: a.Name, table: a.Table, family: a.Family, chain: a.Kwargs.Text("chain"), kw: wire.NewMap(), save: get(a.Kwargs, "save")}
	if x.chain == "" {
		return nil, module.Failf("iptables.%s of %s: no chain is given: chain: INPUT", verb, a.Name)
	}
	if verb == "insert" && !a.Kwargs.Has("position") {
		return nil, module.Failf("iptables.insert of %s: no position is given: position: 1", a.Name)
	}
	for k, v := range a.Kwargs.Strings() {
		if !strings.HasPrefix(k, "__") {
			x.kw.Set(k, v)
		}
	}
	x.kw.Set("table", a.Table)
	x.kw.Set("family", a.Family)
	build := func(kv ...any) (string, error) {
		kw := x.kw.Clone()
		for i := 0; i < len(kv); i += 2 {
			kw.Set(kv[i].(string), kv[i+1])
		}
		v, err := c.Call.Call(ctx, "iptables.build_rule", nil, kw)
		if unavailable(err) {
			err = notFound(c, "'iptables' __virtual__ returned False: iptables module could not be loaded")
		}
		return pytext.Str(v), err
	}
	var err error
	if x.rule, err = build(); err != nil {
		return nil, err
	}
	x.command, err = build("full", true, "command", map[string]string{"append": "A", "insert": "I", "delete": "D"}[verb])
	x.command = strings.TrimSpace(x.command)
	return x, err
}

// fine is whether the rule is as it is to be, and how that is told.
func (x *iptablesRule) fine(ctx context.Context) (bool, string, error) {
	v, err := iptablesCall(ctx, x.c, "check", "table", x.table, "chain", x.chain, "rule", x.rule, "family", x.family)
	if err != nil {
		return false, "", err
	}
	switch {
	case x.verb == "delete":
		return v != true && !x.kw.Has("position"), fmt.Sprintf("iptables rule for %s already absent for %s (%s)", x.name, x.family, x.command), nil
	case x.verb == "insert":
		return v == true, fmt.Sprintf("iptables rule for %s already set for %s (%s)", x.name, x.family, x.command), nil
	}
	return v == true, fmt.Sprintf("iptables rule for %s already set (%s) for %s", x.name, x.command, x.family), nil
}

func (x *iptablesRule) would() string {
	switch x.verb {
	case "delete":
		return fmt.Sprintf("iptables rule for %s needs to be deleted for %s (%s)", x.name, x.family, x.command)
	case "insert":
		return fmt.Sprintf("iptables rule for %s needs to be set for %s (%s)", x.name, x.family, x.command)
	}
	return fmt.Sprintf("iptables rule for %s needs to be set (%s) for %s", x.name, x.command, x.family)
}

// do sets or deletes the rule, and returns how that is told.
func (x *iptablesRule) do(ctx context.Context) (string, error) {
	kv := []any{"table", x.table, "chain", x.chain, "family", x.family}
	if x.kw.Has("position") && x.verb != "append" {
		kv = append(kv, "position", get(x.kw, "position"))
	}
	if x.verb != "delete" || !x.kw.Has("position") {
		kv = append(kv, "rule", x.rule)
	}
	v, err := iptablesCall(ctx, x.c, x.verb, kv...)
	if err != nil {
		return "", err
	}
	if module.Truth(v) != (x.verb == "append") {
		switch x.verb {
		case "delete":
			return "", module.Failf("Failed to delete iptables rule for %s.\nAttempted rule was %s", x.name, x.command)
		case "insert":
			return "", module.Failf("Failed to set iptables rule for %s.\nAttempted rule was %s", x.name, x.command)
		}
		return "", module.Failf("Failed to set iptables rule for %s.\nAttempted rule was %s for %s", x.name, x.command, x.family)
	}
	if !module.Truth(x.save) {
		if x.verb == "delete" {
			return fmt.Sprintf("Delete iptables rule for %s %s", x.name, x.command), nil
		}
		return fmt.Sprintf("Set iptables rule for %s to: %s for %s", x.name, x.command, x.family), nil
	}
	out, err := iptablesSave(ctx, x.c, x.save, x.family)
	word := "Set"
	if x.verb == "delete" {
		word = "Deleted"
	}
	return fmt.Sprintf("%s and saved iptables rule %s for %s\n%s\n%s", word, x.name, x.family, x.command, out), err
}

func iptablesSave(ctx context.Context, c *states.Call, save any, family string) (string, error) {
	kv := []any{"family", family}
	if s, ok := save.(string); ok {
		kv = append(kv, "filename", s)
	}
	v, err := iptablesCall(ctx, c, "save", kv...)
	return pytext.Str(v), err
}

// saved tells whether the file has the rules that the kernel has.
func (x *iptablesRule) saved(ctx context.Context) (bool, error) {
	rules := func(v any) []any {
		var out []any
		m, _ := v.(*wire.Map)
		for t := range m.Strings() {
			for ch := range m.Map(t).Strings() {
				out = append(out, get(m.Map(t).Map(ch), "rules"))
			}
		}
		return out
	}
	now, err := iptablesCall(ctx, x.c, "get_rules", "family", x.family)
	if err != nil {
		return false, err
	}
	kv := []any{"family", x.family}
	if s, ok := x.save.(string); ok {
		kv = append(kv, "conf_file", s)
	}
	kept, err := iptablesCall(ctx, x.c, "get_saved_rules", kv...)
	if err != nil {
		x.c.Log.Info("rules are not saved yet", "reason", message(err))
		return false, nil
	}
	return pytext.Equal(rules(now), rules(kept)), nil
}

// plan plans one rule.
func (x *iptablesRule) plan(ctx context.Context) (*states.Plan, error) {
	fine, text, err := x.fine(ctx)
	if err != nil {
		return nil, err
	}
	p := &states.Plan{Fine: text}
	if !fine {
		p.Would = x.would()
		p.Do(nil, func(ctx context.Context, r *states.Result) error {
			text, err := x.do(ctx)
			if err == nil {
				r.Comment = text
				r.Change("locale", x.name)
			}
			return err
		})
		return p, nil
	}
	if !module.Truth(x.save) || x.verb == "delete" {
		return p, nil
	}
	if same, err := x.saved(ctx); same || err != nil {
		return p, err
	}
	p.Would = text + "\nThe rules need to be saved"
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		out, err := iptablesSave(ctx, x.c, x.save, x.family)
		r.Comment = fmt.Sprintf("%s\nSaved iptables rule %s for %s\n%s\n%s", text, x.name, x.family, x.command, out)
		return err
	})
	return p, nil
}

func iptablesRules(ctx context.Context, c *states.Call, verb string, a iptablesRuleArgs) (*states.Plan, error) {
	if !a.Kwargs.Has("rules") {
		x, err := newRule(ctx, c, verb, a)
		if err != nil {
			return nil, err
		}
		return x.plan(ctx)
	}
	return iptablesSeveral(ctx, c, verb, a)
}

// iptablesSeveral plans the rules that have been joined into one state, or are given as a
// list. The file is written once.
func iptablesSeveral(ctx context.Context, c *states.Call, verb string, a iptablesRuleArgs) (*states.Plan, error) {
	var save any
	var all []*iptablesRule
	var lines []string
	todo := false
	for _, e := range listOf(get(a.Kwargs, "rules")) {
		m, ok := e.(*wire.Map)
		if !ok {
			return nil, module.Failf("rules: each is a map of the arguments of a rule, not %s", pytext.Repr(e))
		}
		kw := wire.NewMap()
		for k, v := range m.Strings() {
			if k == "save" && module.Truth(v) {
				save = v
			}
			if k != "rules" && k != "save" && !strings.HasPrefix(k, "__") {
				kw.Set(k, v)
			}
		}
		one, err := module.Bind[iptablesRuleArgs]("iptables."+verb, kw)
		if err != nil {
			return nil, err
		}
		x, err := newRule(ctx, c, verb, one)
		if err != nil {
			return nil, err
		}
		fine, text, err := x.fine(ctx)
		if err != nil {
			return nil, err
		}
		if !fine {
			todo, text = true, x.would()
		}
		all, lines = append(all, x), append(lines, text)
	}
	p := &states.Plan{Fine: strings.Join(lines, "\n"), Would: strings.Join(lines, "\n")}
	if !todo && save != nil && len(all) > 0 {
		all[0].save = save
		same, err := all[0].saved(ctx)
		if err != nil {
			return nil, err
		}
		all[0].save = nil
		todo = !same
	}
	if !todo {
		return p, nil
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		var done []any
		var lines []string
		for _, x := range all {
			fine, text, err := x.fine(ctx) // one before may have been the same
			if err == nil && !fine {
				if text, err = x.do(ctx); err == nil {
					done = append(done, x.name)
				}
			}
			if err != nil {
				text = message(err)
				r.Result = false
			}
			lines = append(lines, text)
		}
		if done != nil {
			r.Change("locale", done)
		}
		r.Comment = strings.Join(lines, "\n")
		if save != nil {
			_, err := iptablesSave(ctx, c, save, a.Family)
			return err
		}
		return nil
	})
	return p, nil
}

// iptablesAggregate joins the rules of later states into the first one.
func iptablesAggregate(_ context.Context, c *states.Call, chunks []*wire.Map, running *wire.Map) *wire.Map {
	low := c.Low
	if fun := low.Text("fun"); fun != "append" && fun != "insert" {
		return low
	}
	var rules []any
	for _, chunk := range chunks {
		if running.Has(states.Tag(chunk)) || chunk.Text("state") != "iptables" || chunk.Has("__agg__") || chunk.Text("fun") != low.Text("fun") {
			continue
		}
		rules = append(rules, chunk.Clone())
		chunk.Set("__agg__", true)
	}
	if rules != nil {
		low.Set("rules", append(append([]any{}, low.List("rules")...), rules...))
	}
	return low
}

// iptablesSetPolicy makes sure what becomes of packets that no rule of a chain is for.
func iptablesSetPolicy(ctx context.Context, c *states.Call, a iptablesRuleArgs) (*states.Plan, error) {
	chain, policy := a.Kwargs.Text("chain"), a.Kwargs.Text("policy")
	if chain == "" || policy == "" {
		return nil, module.Failf("iptables.set_policy of %s: chain and policy are needed: chain: INPUT, policy: DROP", a.Name)
	}
	now, err := iptablesCall(ctx, c, "get_policy", "table", a.Table, "chain", chain, "family", a.Family)
	if err != nil {
		return nil, err
	}
	if now == policy {
		return &states.Plan{Fine: fmt.Sprintf("iptables default policy for chain %s on table %s for %s already set to %s", chain, a.Table, a.Family, policy)}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("iptables default policy for chain %s on table %s for %s needs to be set to %s", chain, a.Table, a.Family, policy),
		Did: fmt.Sprintf("Set default policy for %s to %s family %s", chain, policy, a.Family)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := iptablesCall(ctx, c, "set_policy", "table", a.Table, "chain", chain, "policy", policy, "family", a.Family)
		if err != nil {
			return err
		}
		if module.Truth(v) {
			return module.Failf("Failed to set iptables default policy")
		}
		r.Change("locale", a.Name)
		if save := get(a.Kwargs, "save"); module.Truth(save) {
			r.Comment = fmt.Sprintf("Set and saved default policy for %s to %s family %s", chain, policy, a.Family)
			_, err = iptablesSave(ctx, c, save, a.Family)
		}
		return err
	})
	return p, nil
}

// iptablesFlush removes all rules of a chain, or of a table.
func iptablesFlush(ctx context.Context, c *states.Call, a iptablesRuleArgs) (*states.Plan, error) {
	chain := a.Kwargs.Text("chain")
	if _, err := iptablesCall(ctx, c, "version", "family", a.Family); err != nil {
		return nil, err
	}
	p := &states.Plan{Would: fmt.Sprintf("iptables rules in %s table %s chain %s family needs to be flushed", a.Name, a.Table, a.Family),
		Did: fmt.Sprintf("Flush iptables rules in %s table %s chain %s family", a.Table, chain, a.Family)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := iptablesCall(ctx, c, "flush", "table", a.Table, "chain", chain, "family", a.Family)
		if err == nil && module.Truth(v) {
			err = module.Failf("Failed to flush iptables rules")
		}
		if err == nil {
			r.Change("locale", a.Name)
		}
		return err
	})
	return p, nil
}
