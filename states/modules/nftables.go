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
	register("nftables.table_present", nftTablePresent)
	register("nftables.table_absent", nftTableAbsent)
	register("nftables.chain_present", nftChainPresent)
	register("nftables.chain_absent", nftChainAbsent)
	register("nftables.append", nftAppend)
	register("nftables.insert", nftInsert)
	register("nftables.delete", nftDelete)
	register("nftables.set_policy", nftSetPolicy)
	register("nftables.flush", nftFlush)
}

// nftCall calls a function of nftables.
func nftCall(ctx context.Context, c *states.Call, fun string, kv ...any) (any, error) {
	v, err := c.Call.Call(ctx, "nftables."+fun, nil, wire.NewMap(kv...))
	if unavailable(err) {
		err = notFound(c, "'nftables' __virtual__ returned False: nftables module could not be loaded")
	}
	return v, err
}

// nftAsk calls a function that tells whether something is so, or was done.
func nftAsk(ctx context.Context, c *states.Call, fun string, kv ...any) (yes bool, comment string, err error) {
	v, err := nftCall(ctx, c, fun, kv...)
	m, _ := v.(*wire.Map)
	return m.Bool("result"), m.Text("comment"), err
}

type nftTableArgs struct {
	Name   string    // Name of the table.
	Family string    `default:"ipv4"`    // ipv4, ipv6, inet, arp, bridge or netdev.
	Kwargs *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// nftTablePresent makes sure that there is a table.
func nftTablePresent(ctx context.Context, c *states.Call, a nftTableArgs) (*states.Plan, error) {
	there, _, err := nftAsk(ctx, c, "check_table", "table", a.Name, "family", a.Family)
	if err != nil {
		return nil, err
	}
	if there {
		return &states.Plan{Fine: fmt.Sprintf("nftables table %s already exists in family %s", a.Name, a.Family)}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("nftables table %s would be created in family %s", a.Name, a.Family),
		Did: fmt.Sprintf("nftables table %s successfully created in family %s", a.Name, a.Family)}
	p.Do(nil, nftStep(c, a.Name, fmt.Sprintf("Failed to create table %s for family %s", a.Name, a.Family), "new_table", "table", a.Name, "family", a.Family))
	return p, nil
}

// nftStep calls one function, whose failure is told in these words.
func nftStep(c *states.Call, name, failed, fun string, kv ...any) func(context.Context, *states.Result) error {
	return func(ctx context.Context, r *states.Result) error {
		ok, _, err := nftAsk(ctx, c, fun, kv...)
		if err == nil && !ok {
			err = module.Failf("%s", failed)
		}
		if err == nil {
			r.Change("locale", name)
		}
		return err
	}
}

// nftTableAbsent makes sure that there is no such table, nor what is in it.
func nftTableAbsent(ctx context.Context, c *states.Call, a nftTableArgs) (*states.Plan, error) {
	there, _, err := nftAsk(ctx, c, "check_table", "table", a.Name, "family", a.Family)
	if err != nil {
		return nil, err
	}
	if !there {
		return &states.Plan{Fine: fmt.Sprintf("nftables table %s is already absent from family %s", a.Name, a.Family)}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("nftables table %s would be deleted from family %s", a.Name, a.Family),
		Did: fmt.Sprintf("nftables table %s successfully deleted from family %s", a.Name, a.Family)}
	p.Do(nil, nftStep(c, a.Name, fmt.Sprintf("Failed to delete table %s from family %s", a.Name, a.Family), "delete_table", "table", a.Name, "family", a.Family))
	return p, nil
}

type nftChainPresentArgs struct {
	Name      string // Name of the chain.
	Table     string `default:"filter"` // The table.
	TableType any    `default:"None"`   // filter, nat or route: with hook and priority, a chain that the kernel sends packets through.
	Hook      any    `default:"None"`   // input, output, forward, prerouting, postrouting, ingress.
	Priority  any    `default:"None"`   // Its place among the chains of that hook: 0.
	Family    string `default:"ipv4"`   // ipv4, ipv6, inet, arp, bridge or netdev.
}

// nftChainPresent makes sure that there is a chain. What kind of chain it is, is not
// looked at where there is one.
func nftChainPresent(ctx context.Context, c *states.Call, a nftChainPresentArgs) (*states.Plan, error) {
	there, _, err := nftAsk(ctx, c, "check_chain", "table", a.Table, "chain", a.Name, "family", a.Family)
	if err != nil {
		return nil, err
	}
	if there {
		return &states.Plan{Fine: fmt.Sprintf("nftables %s chain is already exist in %s table for %s", a.Name, a.Table, a.Family)}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("nftables chain %s would be created in table %s for family %s", a.Name, a.Table, a.Family),
		Did: fmt.Sprintf("nftables %s chain in %s table create success for %s", a.Name, a.Table, a.Family)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		kv := []any{"table", a.Table, "chain", a.Name, "family", a.Family}
		for _, o := range []struct {
			name string
			v    any
		}{{"table_type", a.TableType}, {"hook", a.Hook}, {"priority", a.Priority}} {
			if o.v != nil {
				kv = append(kv, o.name, o.v)
			}
		}
		ok, comment, err := nftAsk(ctx, c, "new_chain", kv...)
		if err == nil && !ok {
			err = module.Failf("Failed to create %s chain in %s table: %s for %s", a.Name, a.Table, comment, a.Family)
		}
		if err == nil {
			r.Change("locale", a.Name)
		}
		return err
	})
	return p, nil
}

type nftChainAbsentArgs struct {
	Name   string // Name of the chain.
	Table  string `default:"filter"` // The table.
	Family string `default:"ipv4"`   // ipv4, ipv6, inet, arp, bridge or netdev.
}

// nftChainAbsent makes sure that there is no such chain. Its rules go with it; a rule of
// another that leads to it is in its way.
func nftChainAbsent(ctx context.Context, c *states.Call, a nftChainAbsentArgs) (*states.Plan, error) {
	there, _, err := nftAsk(ctx, c, "check_chain", "table", a.Table, "chain", a.Name, "family", a.Family)
	if err != nil {
		return nil, err
	}
	if !there {
		return &states.Plan{Fine: fmt.Sprintf("nftables %s chain is already absent in %s table for %s", a.Name, a.Table, a.Family)}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("nftables %s chain in %s table needs to be removed for %s", a.Name, a.Table, a.Family),
		Did: fmt.Sprintf("nftables %s chain in %s table delete success for %s", a.Name, a.Table, a.Family)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		for _, step := range [][2]string{{"flush", "flush"}, {"delete_chain", "delete"}} {
			ok, comment, err := nftAsk(ctx, c, step[0], "table", a.Table, "chain", a.Name, "family", a.Family)
			if err != nil {
				return err
			}
			if !ok {
				return module.Failf("Failed to %s %s chain in %s table: %s for %s", step[1], a.Name, a.Table, comment, a.Family)
			}
		}
		r.Change("locale", a.Name)
		return nil
	})
	return p, nil
}

type nftRuleArgs struct {
	Name   string    // Anything.
	Family string    `default:"ipv4"` // ipv4, ipv6, inet, arp, bridge or netdev.
	Kwargs *wire.Map `arg:"**"`       // table and chain; position, of insert and delete; save: True; and what the rule asks and does, as for nftables.build_rule.
}

// nftAppend makes sure that a chain has a rule, and adds it at its end.
func nftAppend(ctx context.Context, c *states.Call, a nftRuleArgs) (*states.Plan, error) {
	rule, there, err := nftRuleOf(ctx, c, "append", a)
	if err != nil {
		return nil, err
	}
	if there {
		return &states.Plan{Fine: fmt.Sprintf("nftables rule for %s already set (%s) for %s", a.Name, rule, a.Family)}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("nftables rule for %s needs to be set (%s) for %s", a.Name, rule, a.Family)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		ok, comment, err := nftAsk(ctx, c, "append", "table", a.Kwargs.Text("table"), "chain", a.Kwargs.Text("chain"), "rule", rule, "family", a.Family)
		if err == nil && !ok {
			err = module.Failf("Failed to set nftables rule for %s.\nAttempted rule was %s for %s.\n%s", a.Name, rule, a.Family, comment)
		}
		if err != nil {
			return err
		}
		r.Change("locale", a.Name)
		r.Comment = fmt.Sprintf("Set nftables rule for %s to: %s for %s", a.Name, rule, a.Family)
		return nftKeep(ctx, c, a.Kwargs, r, fmt.Sprintf("Set and Saved nftables rule for %s to: %s for %s", a.Name, rule, a.Family))
	})
	return p, nil
}

// nftInsert makes sure that a chain has a rule, and puts it at a place.
func nftInsert(ctx context.Context, c *states.Call, a nftRuleArgs) (*states.Plan, error) {
	rule, there, err := nftRuleOf(ctx, c, "insert", a)
	if err != nil {
		return nil, err
	}
	if there {
		return &states.Plan{Fine: fmt.Sprintf("nftables rule for %s already set for %s (%s)", a.Name, a.Family, rule)}, nil
	}
	if !a.Kwargs.Has("position") {
		return nil, module.Failf("nftables.insert of %s: no position is given: position: 4, the handle of the rule before which it goes, or position: 0 for the first place", a.Name)
	}
	p := &states.Plan{Would: fmt.Sprintf("nftables rule for %s needs to be set for %s (%s)", a.Name, a.Family, rule)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		ok, _, err := nftAsk(ctx, c, "insert", "table", a.Kwargs.Text("table"), "chain", a.Kwargs.Text("chain"), "position", get(a.Kwargs, "position"), "rule", rule, "family", a.Family)
		if err == nil && !ok {
			err = module.Failf("Failed to set nftables rule for %s.\nAttempted rule was %s", a.Name, rule)
		}
		if err != nil {
			return err
		}
		r.Change("locale", a.Name)
		r.Comment = fmt.Sprintf("Set nftables rule for %s to: %s for %s", a.Name, rule, a.Family)
		return nftKeep(ctx, c, a.Kwargs, r, fmt.Sprintf("Set and Saved nftables rule for %s to: %s for %s", a.Name, rule, a.Family))
	})
	return p, nil
}

// nftDelete makes sure that a chain does not have a rule.
func nftDelete(ctx context.Context, c *states.Call, a nftRuleArgs) (*states.Plan, error) {
	rule, there, err := nftRuleOf(ctx, c, "delete", a)
	if err != nil {
		return nil, err
	}
	if !there {
		return &states.Plan{Fine: fmt.Sprintf("nftables rule for %s already absent for %s (%s)", a.Name, a.Family, rule)}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("nftables rule for %s needs to be deleted for %s (%s)", a.Name, a.Family, rule)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		kv := []any{"table", a.Kwargs.Text("table"), "chain", a.Kwargs.Text("chain"), "family", a.Family}
		if a.Kwargs.Has("position") {
			kv = append(kv, "position", get(a.Kwargs, "position"))
		} else {
			kv = append(kv, "rule", rule)
		}
		ok, _, err := nftAsk(ctx, c, "delete", kv...)
		if err == nil && !ok {
			err = module.Failf("Failed to delete nftables rule for %s.\nAttempted rule was %s", a.Name, rule)
		}
		if err != nil {
			return err
		}
		r.Change("locale", a.Name)
		r.Comment = fmt.Sprintf("Delete nftables rule for %s %s", a.Name, rule)
		return nftKeep(ctx, c, a.Kwargs, r, fmt.Sprintf("Deleted and Saved nftables rule for %s for %s%s", a.Name, rule, a.Family))
	})
	return p, nil
}

// nftRuleOf makes the text of a rule, and tells whether the chain has it.
func nftRuleOf(ctx context.Context, c *states.Call, verb string, a nftRuleArgs) (rule string, there bool, err error) {
	for _, key := range []string{"table", "chain"} {
		if a.Kwargs.Text(key) == "" {
			return "", false, module.Failf("nftables.%s of %s: no %s is given: %s", verb, a.Name, key, map[string]string{"table": "table: filter", "chain": "chain: input"}[key])
		}
	}
	kv := []any{"family", a.Family}
	for k, v := range a.Kwargs.Strings() {
		if !strings.HasPrefix(k, "__") {
			kv = append(kv, k, v)
		}
	}
	v, err := nftCall(ctx, c, "build_rule", kv...)
	if err != nil {
		return "", false, err
	}
	m, _ := v.(*wire.Map)
	rule = m.Text("rule")
	there, _, err = nftAsk(ctx, c, "check", "table", a.Kwargs.Text("table"), "chain", a.Kwargs.Text("chain"), "rule", rule, "family", a.Family)
	return rule, there, err
}

// nftKeep writes the rules to their file where that is asked for, and then words the comment.
func nftKeep(ctx context.Context, c *states.Call, kwargs *wire.Map, r *states.Result, comment string) error {
	if !module.Truth(get(kwargs, "save")) {
		return nil
	}
	var kv []any
	if name := get(kwargs, "save_filename"); name != nil {
		kv = append(kv, "filename", name)
	}
	_, err := nftCall(ctx, c, "save", kv...)
	if err == nil {
		r.Comment = comment
	}
	return err
}

type nftPolicyArgs struct {
	Name   string    // Anything.
	Table  string    `default:"filter"` // The table.
	Family string    `default:"ipv4"`   // ipv4, ipv6, inet, arp, bridge or netdev.
	Kwargs *wire.Map `arg:"**"`         // chain; policy: accept or drop; save: True; save_filename: the file.
}

// nftSetPolicy makes sure what becomes of packets that no rule of a chain is for.
func nftSetPolicy(ctx context.Context, c *states.Call, a nftPolicyArgs) (*states.Plan, error) {
	chain, policy := a.Kwargs.Text("chain"), pytext.Str(get(a.Kwargs, "policy"))
	if chain == "" || !a.Kwargs.Has("policy") {
		return nil, module.Failf("nftables.set_policy of %s: chain and policy are needed: chain: input, policy: drop", a.Name)
	}
	now, err := nftCall(ctx, c, "get_policy", "table", a.Table, "chain", chain, "family", a.Family)
	if err != nil {
		return nil, err
	}
	if s, ok := now.(string); ok && strings.EqualFold(s, policy) {
		return &states.Plan{Fine: fmt.Sprintf("nftables default policy for chain %s on table %s for %s already set to %s", chain, a.Table, a.Family, policy)}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("nftables default policy for chain %s on table %s for %s needs to be set to %s", chain, a.Table, a.Family, policy)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := nftCall(ctx, c, "set_policy", "table", a.Table, "chain", chain, "policy", strings.ToLower(policy), "family", a.Family)
		if err == nil && v != true {
			err = module.Failf("Failed to set nftables default policy")
		}
		if err != nil {
			return err
		}
		r.Change("locale", a.Name)
		r.Comment = fmt.Sprintf("Set default policy for %s to %s family %s", chain, policy, a.Family)
		return nftKeep(ctx, c, a.Kwargs, r, fmt.Sprintf("Set and saved default policy for %s to %s family %s", chain, policy, a.Family))
	})
	return p, nil
}

type nftFlushArgs struct {
	Name          string    // Anything.
	Family        string    `default:"ipv4"`  // ipv4, ipv6, inet, arp, bridge or netdev.
	IgnoreAbsence bool      `default:"False"` // A table or chain that is not there is no failure.
	Kwargs        *wire.Map `arg:"**"`        // table: filter where it is not given; chain: all where it is not given.
}

// nftFlush removes all rules of a chain, or of a table.
func nftFlush(ctx context.Context, c *states.Call, a nftFlushArgs) (*states.Plan, error) {
	table, chain := a.Kwargs.Text("table"), a.Kwargs.Text("chain")
	if table == "" {
		table = "filter"
	}
	there, _, err := nftAsk(ctx, c, "check_table", "table", table, "family", a.Family)
	if err != nil {
		return nil, err
	}
	if !there && !a.IgnoreAbsence {
		return nil, module.Failf("Failed to flush table %s in family %s, table does not exist.", table, a.Family)
	}
	if chain != "" && there {
		if there, _, err = nftAsk(ctx, c, "check_chain", "table", table, "chain", chain, "family", a.Family); err != nil {
			return nil, err
		}
		if !there && !a.IgnoreAbsence {
			return nil, module.Failf("Failed to flush chain %s in table %s in family %s, chain does not exist.", chain, table, a.Family)
		}
	}
	p := &states.Plan{Would: "nftables flush not performed in test mode.", Did: fmt.Sprintf("Flush nftables rules in %s table %s chain %s family", table, chain, a.Family)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		ok, _, err := nftAsk(ctx, c, "flush", "table", table, "chain", chain, "family", a.Family)
		if err == nil && !ok && there {
			err = module.Failf("Failed to flush nftables rules")
		}
		if err == nil {
			r.Change("locale", a.Name)
		}
		return err
	})
	return p, nil
}
