package modules

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("nftables.version", nftVersion)
	register("nftables.build_rule", nftBuildRule)
	register("nftables.get_rules", nftGetRules)
	register("nftables.get_rules_json", nftGetRulesJSON)
	register("nftables.get_saved_rules", nftGetSavedRules)
	register("nftables.list_tables", nftListTables)
	register("nftables.save", nftSave)
	register("nftables.get_rule_handle", nftGetRuleHandle)
	register("nftables.check", nftCheck)
	register("nftables.check_chain", nftCheckChain)
	register("nftables.check_table", nftCheckTable)
	register("nftables.new_table", nftNewTable)
	register("nftables.delete_table", nftDeleteTable)
	register("nftables.new_chain", nftNewChain)
	register("nftables.delete_chain", nftDeleteChain)
	register("nftables.append", nftAppend)
	register("nftables.insert", nftInsert)
	register("nftables.delete", nftDelete)
	register("nftables.flush", nftFlush)
	register("nftables.get_policy", nftGetPolicy)
	register("nftables.set_policy", nftSetPolicy)
}

// nftFamilies are the families of nft by their names in calls, in the order in which
// nftables.save writes them.
var nftFamilies = [][2]string{{"ip", "ip"}, {"ip6", "ip6"}, {"inet", "inet"}, {"arp", "arp"}, {"bridge", "bridge"}, {"netdev", "netdev"}, {"ipv4", "ip"}, {"ip4", "ip"}, {"ipv6", "ip6"}}

func nftFamily(name string) (string, error) {
	for _, f := range nftFamilies {
		if f[0] == name {
			return f[1], nil
		}
	}
	return "", module.Invalidf("family %q: ipv4, ipv6, inet, arp, bridge or netdev is expected", name)
}

// nftRun runs nft. What it prints on standard error is part of its output, as Salt has it:
// of commands that change something, any output is a failure.
func nftRun(ctx context.Context, c *module.Call, format string, args ...any) (string, error) {
	if whichProgram("nft") == "" {
		return "", &module.Error{Kind: module.NotAvailable, Msg: "'" + c.Fun() + "' is not available: nftables is not installed."}
	}
	v, err := c.Call(ctx, "cmd.run", []any{"nft " + fmt.Sprintf(format, args...)}, wire.NewMap("python_shell", false, "ignore_retcode", true))
	out, _ := v.(string)
	return out, err
}

// nftTold is what most of these functions return.
func nftTold(result bool, format string, args ...any) *wire.Map {
	return wire.NewMap("comment", fmt.Sprintf(format, args...), "result", result)
}

// nftVersion returns the version of nftables.
//
//	gosalt '*' nftables.version
func nftVersion(ctx context.Context, c *module.Call, _ noArgs) (string, error) {
	out, err := nftRun(ctx, c, "--version")
	if f := strings.Fields(out); len(f) > 1 {
		return f[1], err
	}
	return "", err
}

type nftFamilyArgs struct {
	Family string `default:"ipv4"` // ipv4, ipv6, inet, arp, bridge or netdev.
}

// nftListTables returns the tables that the kernel has.
//
//	gosalt '*' nftables.list_tables family=ipv6
func nftListTables(ctx context.Context, c *module.Call, a nftFamilyArgs) ([]any, error) {
	family, err := nftFamily(a.Family)
	if err != nil {
		return nil, err
	}
	tables := []any{}
	entries, err := nftJSON(ctx, c, "list tables "+family)
	for _, e := range entries {
		if m, ok := e.(*wire.Map); ok && m.Has("table") {
			tables = append(tables, mapValue(m, "table"))
		}
	}
	return tables, err
}

// nftJSON is what nft lists as JSON; nothing where it cannot.
func nftJSON(ctx context.Context, c *module.Call, what string) ([]any, error) {
	out, err := nftRun(ctx, c, "--json --numeric --numeric --numeric %s", what)
	if err != nil {
		return nil, err
	}
	if !json.Valid([]byte(out)) {
		return nil, nil
	}
	v, err := pytext.ParseJSON(out)
	if err != nil {
		return nil, nil
	}
	m, _ := v.(*wire.Map)
	return m.List("nftables"), nil
}

// nftGetRulesJSON returns all that the kernel has of a family, as nft tells it: tables,
// chains and rules.
//
//	gosalt '*' nftables.get_rules_json family=ipv6
func nftGetRulesJSON(ctx context.Context, c *module.Call, a nftFamilyArgs) ([]any, error) {
	family, err := nftFamily(a.Family)
	if err != nil {
		return nil, err
	}
	out, err := nftJSON(ctx, c, "list ruleset "+family)
	if out == nil {
		out = []any{}
	}
	return out, err
}

// nftGetRules returns the text of each table that the kernel has.
//
//	gosalt '*' nftables.get_rules family=ipv6
func nftGetRules(ctx context.Context, c *module.Call, a nftFamilyArgs) ([]string, error) {
	family, err := nftFamily(a.Family)
	if err != nil {
		return nil, err
	}
	tables, err := nftListTables(ctx, c, a)
	if err != nil {
		return nil, err
	}
	rules := []string{}
	for _, t := range tables {
		m, _ := t.(*wire.Map)
		text, err := nftRun(ctx, c, "--numeric --numeric --numeric list table %s %s", family, m.Text("name"))
		if err != nil {
			return nil, err
		}
		rules = append(rules, text)
	}
	return rules, nil
}

// nftConf is the file, or the directory, that rules are kept in.
func nftConf(c *module.Call, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	switch pytext.Str(grainOf(c, "os_family")) {
	case "RedHat", "Arch", "Debian":
		return "/etc/nftables", nil
	}
	os := pytext.Str(grainOf(c, "os"))
	if os == "Gentoo" {
		return "/etc/nftables", nil
	}
	return "", module.Failf("where rules are kept on %s is not known: give the name of the file", os)
}

type nftSavedArgs struct {
	ConfFile string `default:"None"` // The file: that of the system.
}

// nftGetSavedRules returns the lines that are kept in a file, without comments.
//
//	gosalt '*' nftables.get_saved_rules
func nftGetSavedRules(_ context.Context, c *module.Call, a nftSavedArgs) ([]string, error) {
	name, err := nftConf(c, a.ConfFile)
	if err != nil {
		return nil, err
	}
	text, err := c.Host.ReadFile(name)
	if err != nil {
		return nil, module.Failf("read the saved rules: %w", err)
	}
	rules := []string{}
	for line := range strings.Lines(string(text)) {
		if s := strings.TrimSpace(line); s != "" && !strings.HasPrefix(s, "#") {
			rules = append(rules, line)
		}
	}
	return rules, nil
}

type nftSaveArgs struct {
	Filename string `default:"None"` // The file, or a directory, where it is salt-all-in-one.nft: /etc/nftables.
	Family   string `default:"ipv4"` // Of no effect: those of all families are kept.
}

// nftSave keeps the rules that the kernel has in a file, and returns its text.
//
//	gosalt '*' nftables.save /etc/nftables
func nftSave(ctx context.Context, c *module.Call, a nftSaveArgs) (string, error) {
	name, err := nftConf(c, a.Filename)
	if err != nil {
		return "", err
	}
	text := "#! nft -f\n"
	for _, f := range nftFamilies[:6] {
		rules, err := nftGetRules(ctx, c, nftFamilyArgs{f[0]})
		if err != nil {
			return "", err
		}
		if len(rules) > 0 {
			text += "\n"
		}
		text += strings.Join(rules, "\n")
	}
	text += "\n"
	if st, err := c.Host.Stat(name); err == nil && st.IsDir() {
		name += "/salt-all-in-one.nft"
	}
	if err := c.Host.WriteFile(name, []byte(text)); err != nil {
		return "", module.Failf("Problem writing to configuration file: %w", err)
	}
	return text, nil
}

type nftTableArgs struct {
	Table  string `default:"None"` // The table.
	Family string `default:"ipv4"` // ipv4, ipv6, inet, arp, bridge or netdev.
}

// nftCheckTable tells whether there is a table.
//
//	gosalt '*' nftables.check_table nat
func nftCheckTable(ctx context.Context, c *module.Call, a nftTableArgs) (*wire.Map, error) {
	if a.Table == "" {
		return nftTold(false, "Table needs to be specified"), nil
	}
	family, err := nftFamily(a.Family)
	if err != nil {
		return nil, err
	}
	out, err := nftRun(ctx, c, "list tables %s", family)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		if strings.TrimSpace(line) == "table "+family+" "+a.Table {
			return nftTold(true, "Table %s in family %s exists", a.Table, a.Family), nil
		}
	}
	return nftTold(false, "Table %s in family %s does not exist", a.Table, a.Family), nil
}

// nftNewTable makes a table.
//
//	gosalt '*' nftables.new_table filter family=ipv6
func nftNewTable(ctx context.Context, c *module.Call, a nftTableArgs) (*wire.Map, error) {
	if a.Table == "" {
		return nftTold(false, "Table needs to be specified"), nil
	}
	return nftTable(ctx, c, a, "add", true, "created")
}

// nftDeleteTable removes a table, with its chains and rules.
//
//	gosalt '*' nftables.delete_table filter family=ipv6
func nftDeleteTable(ctx context.Context, c *module.Call, a nftTableArgs) (*wire.Map, error) {
	if a.Table == "" {
		return nftTold(false, "Table needs to be specified"), nil
	}
	return nftTable(ctx, c, a, "delete", false, "deleted")
}

// nftTable adds or deletes a table, unless it is already so.
func nftTable(ctx context.Context, c *module.Call, a nftTableArgs, verb string, already bool, done string) (*wire.Map, error) {
	there, err := nftCheckTable(ctx, c, a)
	if err != nil || there.Bool("result") == already {
		return there, err
	}
	family, _ := nftFamily(a.Family)
	out, err := nftRun(ctx, c, "%s table %s %s", verb, family, a.Table)
	if err != nil {
		return nil, err
	}
	if out != "" {
		return nftTold(false, "Table %s in family %s could not be %s", a.Table, a.Family, done), nil
	}
	return nftTold(true, "Table %s in family %s %s", a.Table, a.Family, done), nil
}

type nftChainArgs struct {
	Table  string `default:"filter"` // The table.
	Chain  string `default:"None"`   // The chain: input.
	Family string `default:"ipv4"`   // ipv4, ipv6, inet, arp, bridge or netdev.
}

const nftNoChain = "Chain needs to be specified"

// nftCheckChain tells whether there is a chain.
//
//	gosalt '*' nftables.check_chain filter input
func nftCheckChain(ctx context.Context, c *module.Call, a nftChainArgs) (*wire.Map, error) {
	if a.Chain == "" {
		return nftTold(false, nftNoChain), nil
	}
	family, err := nftFamily(a.Family)
	if err != nil {
		return nil, err
	}
	out, err := nftRun(ctx, c, "list table %s %s", family, a.Table)
	if err != nil {
		return nil, err
	}
	there := strings.Contains(out, "chain "+a.Chain+" {")
	return nftTold(there, "Chain %s in table %s in family %s %s", a.Chain, a.Table, a.Family, doesExist(there)), nil
}

func doesExist(there bool) string {
	if there {
		return "exists"
	}
	return "does not exist"
}

// nftBoth checks that there are a table and a chain in it. What is missing is not nil.
func nftBoth(ctx context.Context, c *module.Call, a nftChainArgs) (missing *wire.Map, err error) {
	there, err := nftCheckTable(ctx, c, nftTableArgs{a.Table, a.Family})
	if err != nil || !there.Bool("result") {
		return there, err
	}
	there, err = nftCheckChain(ctx, c, a)
	if err != nil || !there.Bool("result") {
		return there, err
	}
	return nil, nil
}

type nftNewChainArgs struct {
	Table     string `default:"filter"` // The table.
	Chain     string `default:"None"`   // The chain: input.
	TableType string `default:"None"`   // filter, nat or route: with hook and priority, a chain that the kernel sends packets through.
	Hook      string `default:"None"`   // input, output, forward, prerouting, postrouting, ingress.
	Priority  any    `default:"None"`   // Its place among the chains of that hook: 0.
	Family    string `default:"ipv4"`   // ipv4, ipv6, inet, arp, bridge or netdev.
}

// nftNewChain makes a chain.
//
//	gosalt '*' nftables.new_chain filter input table_type=filter hook=input priority=0
//	gosalt '*' nftables.new_chain filter foo
func nftNewChain(ctx context.Context, c *module.Call, a nftNewChainArgs) (*wire.Map, error) {
	if a.Chain == "" {
		return nftTold(false, nftNoChain), nil
	}
	there, err := nftCheckTable(ctx, c, nftTableArgs{a.Table, a.Family})
	if err != nil || !there.Bool("result") {
		return there, err
	}
	there, err = nftCheckChain(ctx, c, nftChainArgs{a.Table, a.Chain, a.Family})
	if err != nil {
		return nil, err
	}
	if there.Bool("result") {
		return nftTold(false, "Chain %s in table %s in family %s already exists", a.Chain, a.Table, a.Family), nil
	}
	family, _ := nftFamily(a.Family)
	line := fmt.Sprintf("-- add chain %s %s %s", family, a.Table, a.Chain)
	if a.TableType != "" || a.Hook != "" || module.Truth(a.Priority) {
		if a.TableType == "" || a.Hook == "" || a.Priority == nil {
			return nftTold(false, "Table_type, hook, and priority required."), nil
		}
		line += fmt.Sprintf(` \{ type %s hook %s priority %s\; \}`, a.TableType, a.Hook, pytext.Str(a.Priority))
	}
	out, err := nftRun(ctx, c, "%s", line)
	if err != nil {
		return nil, err
	}
	if out != "" {
		return nftTold(false, "Chain %s in table %s in family %s could not be created", a.Chain, a.Table, a.Family), nil
	}
	return nftTold(true, "Chain %s in table %s in family %s created", a.Chain, a.Table, a.Family), nil
}

// nftDeleteChain removes a chain that has no rules and that no rule uses.
//
//	gosalt '*' nftables.delete_chain filter foo
func nftDeleteChain(ctx context.Context, c *module.Call, a nftChainArgs) (*wire.Map, error) {
	if a.Chain == "" {
		return nftTold(false, nftNoChain), nil
	}
	if missing, err := nftBoth(ctx, c, a); missing != nil || err != nil {
		return missing, err
	}
	family, _ := nftFamily(a.Family)
	out, err := nftRun(ctx, c, "delete chain %s %s %s", family, a.Table, a.Chain)
	if err != nil {
		return nil, err
	}
	if out != "" {
		return nftTold(false, "Chain %s in table %s in family %s could not be deleted", a.Chain, a.Table, a.Family), nil
	}
	return nftTold(true, "Chain %s in table %s in family %s deleted", a.Chain, a.Table, a.Family), nil
}

type nftFlushArgs struct {
	Table  string `default:"filter"` // The table.
	Chain  string `default:""`       // The chain: all of the table.
	Family string `default:"ipv4"`   // ipv4, ipv6, inet, arp, bridge or netdev.
}

// nftFlush removes all rules of a chain, or of a table.
//
//	gosalt '*' nftables.flush filter input
func nftFlush(ctx context.Context, c *module.Call, a nftFlushArgs) (*wire.Map, error) {
	there, err := nftCheckTable(ctx, c, nftTableArgs{a.Table, a.Family})
	if err != nil || !there.Bool("result") {
		return there, err
	}
	family, _ := nftFamily(a.Family)
	line, of := fmt.Sprintf("flush table %s %s", family, a.Table), fmt.Sprintf("from table %s in family %s.", a.Table, a.Family)
	if a.Chain != "" {
		if there, err = nftCheckChain(ctx, c, nftChainArgs(a)); err != nil || !there.Bool("result") {
			return there, err
		}
		line, of = fmt.Sprintf("flush chain %s %s %s", family, a.Table, a.Chain), fmt.Sprintf("from chain %s in table %s in family %s.", a.Chain, a.Table, a.Family)
	}
	out, err := nftRun(ctx, c, "%s", line)
	if err != nil {
		return nil, err
	}
	if out != "" {
		return nftTold(false, "Failed to flush rules %s", of), nil
	}
	return nftTold(true, "Flushed rules %s", of), nil
}

// nftChainOf is a chain as nft tells it; nil where there is none.
func nftChainOf(ctx context.Context, c *module.Call, a nftChainArgs) (*wire.Map, error) {
	entries, err := nftGetRulesJSON(ctx, c, nftFamilyArgs{a.Family})
	for _, e := range entries {
		m, _ := e.(*wire.Map)
		if ch := m.Map("chain"); ch != nil && ch.Text("table") == a.Table && ch.Text("name") == a.Chain {
			return ch, nil
		}
	}
	return nil, err
}

// nftGetPolicy returns what becomes of packets that no rule of a chain is for.
//
//	gosalt '*' nftables.get_policy filter input
func nftGetPolicy(ctx context.Context, c *module.Call, a nftChainArgs) (any, error) {
	if a.Chain == "" {
		return noChain, nil
	}
	ch, err := nftChainOf(ctx, c, a)
	return mapValue(ch, "policy"), err
}

type nftSetPolicyArgs struct {
	Table  string `default:"filter"` // The table.
	Chain  string `default:"None"`   // The chain: input.
	Policy string `default:"None"`   // accept or drop.
	Family string `default:"ipv4"`   // ipv4, ipv6, inet, arp, bridge or netdev.
}

// nftSetPolicy says what becomes of packets that no rule of a chain is for. Only chains
// with a hook have a policy.
//
//	gosalt '*' nftables.set_policy filter input accept
func nftSetPolicy(ctx context.Context, c *module.Call, a nftSetPolicyArgs) (any, error) {
	if a.Chain == "" {
		return noChain, nil
	}
	if a.Policy == "" {
		return "Error: Policy needs to be specified", nil
	}
	ch, err := nftChainOf(ctx, c, nftChainArgs{a.Table, a.Chain, a.Family})
	if err != nil || !ch.Has("type") || !ch.Has("hook") || !ch.Has("prio") {
		return false, err
	}
	family, _ := nftFamily(a.Family)
	out, err := nftRun(ctx, c, `add chain %s %s %s "{ type %s hook %s priority %s; policy %s; }"`, family, a.Table, a.Chain, ch.Text("type"), ch.Text("hook"), pytext.Str(mapValue(ch, "prio")), a.Policy)
	return out == "", err
}

type nftRuleArgs struct {
	Table  string `default:"filter"` // The table.
	Chain  string `default:"None"`   // The chain: input.
	Rule   string `default:"None"`   // The rule, as nft takes it.
	Family string `default:"ipv4"`   // ipv4, ipv6, inet, arp, bridge or netdev.
}

// nftListed are the rules of a chain, each as nft lists it, with its handle.
var nftListed = lazyre.New(`(?m)^\s*(\S.*) # handle (\d+)$`)

// nftFind looks for a rule, and returns its handle, "" where it is not there. nft lists
// rules in a form of its own: the names of states as numbers, sets in their order, those
// of one without braces. So the rule is put into a copy of the table, in a network of its
// own where no packet is, to see what nft makes of it.
func nftFind(ctx context.Context, c *module.Call, a nftRuleArgs) (string, error) {
	family, err := nftFamily(a.Family)
	if err != nil {
		return "", err
	}
	list := fmt.Sprintf("--stateless --handle --numeric --numeric --numeric list chain %s %s %s", family, a.Table, a.Chain)
	listed, err := nftRun(ctx, c, "%s", list)
	if err != nil {
		return "", err
	}
	words, err := host.Words(a.Rule)
	if err != nil {
		return "", module.Invalidf("rule %q: %w", a.Rule, err)
	}
	rule := strings.Join(words, " ")
	rules := nftListed.FindAllStringSubmatch(listed, -1)
	find := func(text string) string {
		for _, r := range rules {
			if r[1] == text {
				return r[2]
			}
		}
		return ""
	}
	if len(rules) == 0 {
		return "", nil
	}
	if handle := find(rule); handle != "" {
		return handle, nil
	}
	table, err := nftRun(ctx, c, "--stateless list table %s %s", family, a.Table)
	if err != nil {
		return "", err
	}
	script := fmt.Sprintf("%s\nadd rule %s %s %s %s\n", table, family, a.Table, a.Chain, strings.ReplaceAll(rule, "\n", " "))
	v, err := c.Call(ctx, "cmd.run_all", []any{"unshare --net sh -c 'nft -f - && nft " + list + "'"}, wire.NewMap("python_shell", false, "ignore_retcode", true, "stdin", script))
	if err != nil {
		return "", err
	}
	if m, _ := v.(*wire.Map); m.Int("retcode") == 0 {
		if made := nftListed.FindAllStringSubmatch(m.Text("stdout"), -1); len(made) > 0 {
			return find(made[len(made)-1][1]), nil
		}
	}
	return find(nftPlain.ReplaceAllString(rule, "$1")), nil
}

// nftPlain are sets of one.
var nftPlain = lazyre.New(`\{ *([^ ,{}]+) *\}`)

// nftCheck tells whether the kernel has a rule.
//
//	gosalt '*' nftables.check filter input rule='tcp dport 22 log accept'
func nftCheck(ctx context.Context, c *module.Call, a nftRuleArgs) (*wire.Map, error) {
	_, told, err := nftChecked(ctx, c, a)
	return told, err
}

func nftChecked(ctx context.Context, c *module.Call, a nftRuleArgs) (handle string, told *wire.Map, err error) {
	switch {
	case a.Chain == "":
		return "", nftTold(false, nftNoChain), nil
	case a.Rule == "":
		return "", nftTold(false, "Rule needs to be specified"), nil
	}
	if missing, err := nftBoth(ctx, c, nftChainArgs{a.Table, a.Chain, a.Family}); missing != nil || err != nil {
		return "", missing, err
	}
	if handle, err = nftFind(ctx, c, a); err != nil {
		return "", nil, err
	}
	return handle, nftTold(handle != "", "Rule %s in chain %s in table %s in family %s %s", a.Rule, a.Chain, a.Table, a.Family, doesExist(handle != "")), nil
}

// nftGetRuleHandle returns the number by which nft knows a rule.
//
//	gosalt '*' nftables.get_rule_handle filter input rule='tcp dport 22 log accept'
func nftGetRuleHandle(ctx context.Context, c *module.Call, a nftRuleArgs) (*wire.Map, error) {
	handle, told, err := nftChecked(ctx, c, a)
	if err != nil || handle == "" {
		return told, err
	}
	return wire.NewMap("result", true, "handle", handle), nil
}

type nftInsertArgs struct {
	Table    string `default:"filter"` // The table.
	Chain    string `default:"None"`   // The chain: input.
	Position any    `default:"None"`   // Before which rule, by its handle: the first.
	Rule     string `default:"None"`   // The rule, as nft takes it.
	Family   string `default:"ipv4"`   // ipv4, ipv6, inet, arp, bridge or netdev.
}

// nftAppend adds a rule at the end of a chain.
//
//	gosalt '*' nftables.append filter input rule='tcp dport 22 log accept'
func nftAppend(ctx context.Context, c *module.Call, a nftRuleArgs) (*wire.Map, error) {
	return nftAdd(ctx, c, "add", nftInsertArgs{Table: a.Table, Chain: a.Chain, Rule: a.Rule, Family: a.Family})
}

// nftInsert puts a rule at a place of a chain.
//
//	gosalt '*' nftables.insert filter input position=3 rule='tcp dport 22 log accept'
func nftInsert(ctx context.Context, c *module.Call, a nftInsertArgs) (*wire.Map, error) {
	return nftAdd(ctx, c, "insert", a)
}

func nftAdd(ctx context.Context, c *module.Call, verb string, a nftInsertArgs) (*wire.Map, error) {
	handle, told, err := nftChecked(ctx, c, nftRuleArgs{a.Table, a.Chain, a.Rule, a.Family})
	if err != nil {
		return nil, err
	}
	if handle != "" {
		return nftTold(false, "Rule %s chain %s in table %s in family %s already exists", a.Rule, a.Chain, a.Table, a.Family), nil
	}
	if !strings.HasPrefix(told.Text("comment"), "Rule "+a.Rule+" in ") {
		return told, nil // no such table or chain, or none given
	}
	family, _ := nftFamily(a.Family)
	line := fmt.Sprintf("%s rule %s %s %s ", verb, family, a.Table, a.Chain)
	if module.Truth(a.Position) {
		line += fmt.Sprintf("position %s ", pytext.Str(a.Position))
	}
	out, err := nftRun(ctx, c, "%s", line+a.Rule)
	if err != nil {
		return nil, err
	}
	word := "Added"
	if out != "" {
		word = "Failed to add"
		c.Log.Error("nft refused the rule", "rule", a.Rule, "output", out)
	}
	return nftTold(out == "", "%s rule \"%s\" chain %s in table %s in family %s.", word, a.Rule, a.Chain, a.Table, a.Family), nil
}

type nftDeleteArgs struct {
	Table    string // The table.
	Chain    string `default:"None"` // The chain: input.
	Position any    `default:"None"` // The rule's handle.
	Rule     string `default:"None"` // Or the rule itself, as nft takes it.
	Family   string `default:"ipv4"` // ipv4, ipv6, inet, arp, bridge or netdev.
}

// nftDelete removes a rule.
//
//	gosalt '*' nftables.delete filter input position=3
//	gosalt '*' nftables.delete filter input rule='tcp dport 22 log accept'
func nftDelete(ctx context.Context, c *module.Call, a nftDeleteArgs) (*wire.Map, error) {
	handle := ""
	if module.Truth(a.Position) {
		if a.Rule != "" {
			return nftTold(false, "Only specify a position or a rule, not both"), nil
		}
		if a.Chain == "" {
			return nftTold(false, nftNoChain), nil
		}
		if missing, err := nftBoth(ctx, c, nftChainArgs{a.Table, a.Chain, a.Family}); missing != nil || err != nil {
			return missing, err
		}
		handle = pytext.Str(a.Position)
	} else {
		var told *wire.Map
		var err error
		handle, told, err = nftChecked(ctx, c, nftRuleArgs{a.Table, a.Chain, a.Rule, a.Family})
		switch {
		case err != nil:
			return nil, err
		case handle == "" && !strings.HasPrefix(told.Text("comment"), "Rule "+a.Rule+" in "):
			return told, nil
		case handle == "":
			return nftTold(false, "Rule %s chain %s in table %s in family %s does not exist", a.Rule, a.Chain, a.Table, a.Family), nil
		}
	}
	family, _ := nftFamily(a.Family)
	out, err := nftRun(ctx, c, "delete rule %s %s %s handle %s", family, a.Table, a.Chain, handle)
	if err != nil {
		return nil, err
	}
	what := a.Rule
	if what == "" {
		what = "handle " + handle
	}
	if out != "" {
		return nftTold(false, "Failed to delete rule \"%s\" in chain %s  table %s in family %s", what, a.Chain, a.Table, a.Family), nil
	}
	return nftTold(true, "Deleted rule \"%s\" in chain %s in table %s in family %s.", what, a.Chain, a.Table, a.Family), nil
}
