package modules

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("iptables.version", iptablesVersion)
	register("iptables.build_rule", iptablesBuildRule)
	register("iptables.get_rules", iptablesGetRules)
	register("iptables.get_saved_rules", iptablesGetSavedRules)
	register("iptables.get_policy", iptablesGetPolicy)
	register("iptables.get_saved_policy", iptablesGetSavedPolicy)
	register("iptables.set_policy", iptablesSetPolicy)
	register("iptables.save", iptablesSave)
	register("iptables.check", iptablesCheck)
	register("iptables.check_chain", iptablesCheckChain)
	register("iptables.new_chain", iptablesNewChain)
	register("iptables.delete_chain", iptablesDeleteChain)
	register("iptables.append", iptablesAppend)
	register("iptables.insert", iptablesInsert)
	register("iptables.delete", iptablesDelete)
	register("iptables.flush", iptablesFlush)
}

// What is missing in a call; Salt returns it as a text.
const (
	noChain = "Error: Chain needs to be specified"
	noRule  = "Error: Rule needs to be specified"
)

// iptablesProgram is the path of iptables, or of ip6tables.
func iptablesProgram(c *module.Call, family string) (string, error) {
	main := whichProgram("iptables")
	if main == "" {
		return "", &module.Error{Kind: module.NotAvailable, Msg: "'" + c.Fun() + "' is not available: iptables is not installed."}
	}
	if family != "ipv6" {
		return main, nil
	}
	if p := whichProgram("ip6tables"); p != "" {
		return p, nil
	}
	return "", module.NoCommandf("ip6tables is not installed")
}

// iptablesRun runs a line of iptables and returns what it prints on standard error, and
// whether it failed. Quiet ones are questions.
func iptablesRun(ctx context.Context, c *module.Call, line string, quiet bool) (out, why string, failed bool, err error) {
	kw := wire.NewMap("python_shell", false)
	if quiet {
		kw.Set("ignore_retcode", true)
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{line}, kw)
	m, _ := v.(*wire.Map)
	return m.Text("stdout"), m.Text("stderr"), m.Int("retcode") != 0, err
}

// iptablesWait is the option with which iptables waits for others that use it.
func iptablesWait(ctx context.Context, c *module.Call, family string) (prog, wait string, err error) {
	prog, err = iptablesProgram(c, family)
	if err != nil {
		return "", "", err
	}
	key := "iptables.wait." + prog
	if v, ok := c.Context(key).(string); ok {
		return prog, v, nil
	}
	help, _, _, err := iptablesRun(ctx, c, prog+" --help", true)
	if strings.Contains(help, "--wait") {
		wait = "--wait"
	}
	c.SetContext(key, wait)
	return prog, wait, err
}

// iptablesDo changes something, and returns what iptables had against it.
func iptablesDo(ctx context.Context, c *module.Call, family, rest string) (string, error) {
	prog, wait, err := iptablesWait(ctx, c, family)
	if err != nil {
		return "", err
	}
	_, why, _, err := iptablesRun(ctx, c, prog+" "+wait+" "+rest, false)
	return why, err
}

type iptablesFamilyArgs struct {
	Family string `default:"ipv4"` // ipv4 or ipv6.
}

// iptablesVersion returns the version of iptables.
//
//	gosalt '*' iptables.version
func iptablesVersion(ctx context.Context, c *module.Call, a iptablesFamilyArgs) (string, error) {
	prog, err := iptablesProgram(c, a.Family)
	if err != nil {
		return "", err
	}
	out, _, _, err := iptablesRun(ctx, c, prog+" --version", false)
	if f := strings.Fields(out); len(f) > 1 {
		return f[1], err
	}
	return "", err
}

// iptablesConf is the file that rules are kept in.
func iptablesConf(c *module.Call, family string) (string, error) {
	six := family == "ipv6"
	pick := func(v4, v6 string) (string, error) {
		if six {
			return v6, nil
		}
		return v4, nil
	}
	switch pytext.Str(grainOf(c, "os_family")) {
	case "RedHat":
		return pick("/etc/sysconfig/iptables", "/etc/sysconfig/ip6tables")
	case "Arch", "Void":
		return pick("/etc/iptables/iptables.rules", "/etc/iptables/ip6tables.rules")
	case "Debian":
		return pick("/etc/iptables/rules.v4", "/etc/iptables/rules.v6")
	case "Suse":
		return "/etc/sysconfig/scripts/SuSEfirewall2-custom", nil
	case "NILinuxRT":
		return pick("/etc/natinst/share/iptables.conf", "/etc/natinst/share/ip6tables.conf")
	}
	switch grain := pytext.Str(grainOf(c, "os")); grain {
	case "Gentoo":
		return pick("/var/lib/iptables/rules-save", "/var/lib/ip6tables/rules-save")
	case "Alpine":
		return pick("/etc/iptables/rules-save", "/etc/iptables/rules6-save")
	default:
		return "", module.Failf("Saving iptables to file is not supported on %s: give the name of the file", grain)
	}
}

// iptablesGetRules returns the rules that the kernel has, by table and chain.
//
//	gosalt '*' iptables.get_rules
func iptablesGetRules(ctx context.Context, c *module.Call, a iptablesFamilyArgs) (*wire.Map, error) {
	text, err := iptablesDump(ctx, c, a.Family, "")
	if err != nil {
		return nil, err
	}
	return parseRules(text)
}

func iptablesDump(ctx context.Context, c *module.Call, family, more string) (string, error) {
	prog, err := iptablesProgram(c, family)
	if err != nil {
		return "", err
	}
	out, _, _, err := iptablesRun(ctx, c, prog+"-save"+more, false)
	return out, err
}

type iptablesSavedArgs struct {
	ConfFile string `default:"None"` // The file: that of the system.
	Family   string `default:"ipv4"` // ipv4 or ipv6.
}

// iptablesGetSavedRules returns the rules that are kept in a file, by table and chain.
//
//	gosalt '*' iptables.get_saved_rules
func iptablesGetSavedRules(_ context.Context, c *module.Call, a iptablesSavedArgs) (*wire.Map, error) {
	if _, err := iptablesProgram(c, "ipv4"); err != nil {
		return nil, err
	}
	if a.ConfFile == "" {
		var err error
		if a.ConfFile, err = iptablesConf(c, a.Family); err != nil {
			return nil, err
		}
	}
	text, err := c.Host.ReadFile(a.ConfFile)
	if err != nil {
		return nil, module.Failf("read the saved rules: %w", err)
	}
	return parseRules(string(text))
}

type iptablesPolicyArgs struct {
	Table  string `default:"filter"` // The table.
	Chain  string `default:"None"`   // The chain: INPUT.
	Family string `default:"ipv4"`   // ipv4 or ipv6.
}

// iptablesGetPolicy returns what becomes of packets that no rule of a chain is for.
//
//	gosalt '*' iptables.get_policy filter INPUT
func iptablesGetPolicy(ctx context.Context, c *module.Call, a iptablesPolicyArgs) (any, error) {
	if a.Chain == "" {
		return noChain, nil
	}
	rules, err := iptablesGetRules(ctx, c, iptablesFamilyArgs{a.Family})
	return mapValue(rules.Map(a.Table).Map(a.Chain), "policy"), err
}

type iptablesSavedPolicyArgs struct {
	Table    string `default:"filter"` // The table.
	Chain    string `default:"None"`   // The chain: INPUT.
	ConfFile string `default:"None"`   // The file: that of the system.
	Family   string `default:"ipv4"`   // ipv4 or ipv6.
}

// iptablesGetSavedPolicy returns the policy of a chain that is kept in a file.
//
//	gosalt '*' iptables.get_saved_policy filter INPUT
func iptablesGetSavedPolicy(ctx context.Context, c *module.Call, a iptablesSavedPolicyArgs) (any, error) {
	if a.Chain == "" {
		return noChain, nil
	}
	rules, err := iptablesGetSavedRules(ctx, c, iptablesSavedArgs{a.ConfFile, a.Family})
	return mapValue(rules.Map(a.Table).Map(a.Chain), "policy"), err
}

type iptablesSetPolicyArgs struct {
	Table  string `default:"filter"` // The table.
	Chain  string `default:"None"`   // The chain: INPUT.
	Policy string `default:"None"`   // ACCEPT or DROP.
	Family string `default:"ipv4"`   // ipv4 or ipv6.
}

// iptablesSetPolicy says what becomes of packets that no rule of a chain is for. It
// returns what iptables had against it: nothing is a success.
//
//	gosalt '*' iptables.set_policy filter INPUT ACCEPT
func iptablesSetPolicy(ctx context.Context, c *module.Call, a iptablesSetPolicyArgs) (string, error) {
	if a.Chain == "" {
		return noChain, nil
	}
	if a.Policy == "" {
		return "Error: Policy needs to be specified", nil
	}
	return iptablesDo(ctx, c, a.Family, "-t "+a.Table+" -P "+a.Chain+" "+a.Policy)
}

type iptablesSaveArgs struct {
	Filename string `default:"None"` // The file: that of the system.
	Family   string `default:"ipv4"` // ipv4 or ipv6.
}

// iptablesSave keeps the rules that the kernel has in a file. Lines that fit one of the
// expressions of the option iptables.save_filters are left out.
//
//	gosalt '*' iptables.save /etc/sysconfig/iptables
func iptablesSave(ctx context.Context, c *module.Call, a iptablesSaveArgs) (any, error) {
	if a.Filename == "" {
		var err error
		if a.Filename, err = iptablesConf(c, a.Family); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(c.Host.Path(filepath.Dir(a.Filename)), 0o755); err != nil {
		return nil, module.Failf("save the rules: %w", err)
	}
	text, err := iptablesDump(ctx, c, a.Family, "")
	if err != nil {
		return nil, err
	}
	v, err := c.Call(ctx, "config.option", []any{"iptables.save_filters", []any{}}, nil)
	if err != nil {
		return nil, err
	}
	filters, _ := v.([]any)
	var kept strings.Builder
	for line := range strings.Lines(text) {
		drop := false
		for _, f := range filters {
			re, err := pyre.Compile(pytext.Str(f), "")
			if err != nil {
				c.Log.Warn("iptables.save_filters: no regular expression", "filter", pytext.Str(f), "error", err)
				continue
			}
			if m, err := re.Search(line); err == nil && m != nil {
				drop = true
			}
		}
		if !drop {
			kept.WriteString(line)
		}
	}
	return c.Call(ctx, "file.write", []any{a.Filename, kept.String()}, nil)
}

type iptablesRuleArgs struct {
	Table  string `default:"filter"` // The table.
	Chain  string `default:"None"`   // The chain: INPUT.
	Rule   string `default:"None"`   // The rule, as iptables takes it.
	Family string `default:"ipv4"`   // ipv4 or ipv6.
}

// iptablesCheck tells whether the kernel has a rule.
//
//	gosalt '*' iptables.check filter INPUT rule='-m state --state RELATED,ESTABLISHED -j ACCEPT'
func iptablesCheck(ctx context.Context, c *module.Call, a iptablesRuleArgs) (any, error) {
	switch {
	case a.Chain == "":
		return noChain, nil
	case a.Rule == "":
		return noRule, nil
	}
	prog, wait, err := iptablesWait(ctx, c, a.Family)
	if err != nil {
		return nil, err
	}
	_, _, failed, err := iptablesRun(ctx, c, prog+" "+wait+" -t "+a.Table+" -C "+a.Chain+" "+a.Rule, true)
	return !failed, err
}

// iptablesCheckChain tells whether there is a chain.
//
//	gosalt '*' iptables.check_chain filter INPUT
func iptablesCheckChain(ctx context.Context, c *module.Call, a iptablesPolicyArgs) (any, error) {
	if a.Chain == "" {
		return noChain, nil
	}
	text, err := iptablesDump(ctx, c, a.Family, " -t "+a.Table)
	return strings.Contains(text, ":"+a.Chain+" "), err
}

// trueOr is True where iptables had nothing against it, else what that was.
func trueOr(why string, err error) (any, error) {
	if why == "" {
		return err == nil, err
	}
	return why, err
}

// iptablesNewChain makes a chain.
//
//	gosalt '*' iptables.new_chain filter CUSTOM_CHAIN
func iptablesNewChain(ctx context.Context, c *module.Call, a iptablesPolicyArgs) (any, error) {
	if a.Chain == "" {
		return noChain, nil
	}
	return trueOr(iptablesDo(ctx, c, a.Family, "-t "+a.Table+" -N "+a.Chain))
}

// iptablesDeleteChain removes a chain that no rule uses and that has no rules.
//
//	gosalt '*' iptables.delete_chain filter CUSTOM_CHAIN
func iptablesDeleteChain(ctx context.Context, c *module.Call, a iptablesPolicyArgs) (any, error) {
	if a.Chain == "" {
		return noChain, nil
	}
	return trueOr(iptablesDo(ctx, c, a.Family, "-t "+a.Table+" -X "+a.Chain))
}

// iptablesAppend adds a rule at the end of a chain; False where it is there already, or
// iptables refuses it.
//
//	gosalt '*' iptables.append filter INPUT rule='-m state --state RELATED,ESTABLISHED -j ACCEPT'
func iptablesAppend(ctx context.Context, c *module.Call, a iptablesRuleArgs) (any, error) {
	there, err := iptablesCheck(ctx, c, a)
	if text, ok := there.(string); ok || err != nil {
		return text, err
	}
	if there == true {
		return false, nil
	}
	why, err := iptablesDo(ctx, c, a.Family, "-t "+a.Table+" -A "+a.Chain+" "+a.Rule)
	return why == "", err
}

type iptablesInsertArgs struct {
	Table    string `default:"filter"` // The table.
	Chain    string `default:"None"`   // The chain: INPUT.
	Position any    `default:"None"`   // Before which rule: 1 is the first, -1 the last.
	Rule     string `default:"None"`   // The rule, as iptables takes it.
	Family   string `default:"ipv4"`   // ipv4 or ipv6.
}

// iptablesInsert puts a rule at a place of a chain. It returns what iptables had against
// it: nothing is a success, False that the rule is there already.
//
//	gosalt '*' iptables.insert filter INPUT position=3 rule='-m state --state RELATED,ESTABLISHED -j ACCEPT'
func iptablesInsert(ctx context.Context, c *module.Call, a iptablesInsertArgs) (any, error) {
	switch {
	case a.Chain == "":
		return noChain, nil
	case !module.Truth(a.Position):
		return "Error: Position needs to be specified or use append (-A)", nil
	case a.Rule == "":
		return noRule, nil
	}
	place, ok := a.Position.(int64)
	if !ok {
		return nil, module.Invalidf("position is a number, not %s", pytext.Repr(a.Position))
	}
	if place < 0 {
		rules, err := iptablesGetRules(ctx, c, iptablesFamilyArgs{a.Family})
		if err != nil {
			return nil, err
		}
		place = max(1, int64(len(rules.Map(a.Table).Map(a.Chain).List("rules")))+place+1)
	}
	there, err := iptablesCheck(ctx, c, iptablesRuleArgs{a.Table, a.Chain, a.Rule, a.Family})
	if err != nil || there == true {
		return false, err
	}
	return iptablesDo(ctx, c, a.Family, "-t "+a.Table+" -I "+a.Chain+" "+pytext.Str(place)+" "+a.Rule)
}

type iptablesDeleteArgs struct {
	Table    string // The table.
	Chain    string `default:"None"` // The chain: INPUT.
	Position any    `default:"None"` // Number of the rule.
	Rule     string `default:"None"` // Or the rule itself, as iptables takes it.
	Family   string `default:"ipv4"` // ipv4 or ipv6.
}

// iptablesDelete removes a rule. It returns what iptables had against it: nothing is a
// success.
//
//	gosalt '*' iptables.delete filter INPUT position=3
//	gosalt '*' iptables.delete filter INPUT rule='-m state --state RELATED,ESTABLISHED -j ACCEPT'
func iptablesDelete(ctx context.Context, c *module.Call, a iptablesDeleteArgs) (string, error) {
	if module.Truth(a.Position) {
		if a.Rule != "" {
			return "Error: Only specify a position or a rule, not both", nil
		}
		a.Rule = pytext.Str(a.Position)
	}
	return iptablesDo(ctx, c, a.Family, "-t "+a.Table+" -D "+a.Chain+" "+a.Rule)
}

type iptablesFlushArgs struct {
	Table  string `default:"filter"` // The table.
	Chain  string `default:""`       // The chain: all of the table.
	Family string `default:"ipv4"`   // ipv4 or ipv6.
}

// iptablesFlush removes all rules of a chain. It returns what iptables had against it:
// nothing is a success.
//
//	gosalt '*' iptables.flush filter INPUT
func iptablesFlush(ctx context.Context, c *module.Call, a iptablesFlushArgs) (string, error) {
	return iptablesDo(ctx, c, a.Family, "-t "+a.Table+" -F "+a.Chain)
}
