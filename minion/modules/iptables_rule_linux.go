package modules

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

type iptablesBuildArgs struct {
	Table    string    `default:"filter"` // The table.
	Chain    string    `default:"None"`   // The chain: INPUT.
	Command  string    `default:"None"`   // What is done with the rule: A, I, D, append and so on.
	Position any       `default:""`       // Place in the chain, for I.
	Full     any       `default:"None"`   // Return the whole command.
	Family   string    `default:"ipv4"`   // ipv4 or ipv6.
	Kwargs   *wire.Map `arg:"**"`         // What the rule asks, by the names of iptables: proto, dport, source, match, connstate, jump, to-destination and so on. A value that begins with ! or not is negated.
}

// notOfRule are keywords of a state that are no part of its rule.
var notOfRule = strings.Fields("name state chain save table onchanges onchanges_any onfail onfail_any onfail_all onfail_stop prereq prerequired watch watch_any require require_any listen use use_in onchanges_in onfail_in prereq_in watch_in require_in listen_in fun check_cmd cmd_opts_exclude failhard onlyif unless creates retry order parallel reload_modules reload_grains reload_pillar runas runas_password fire_event saltenv umask rules aggregate")

// afterJump are options that come after the target, as they are its own.
var afterJump = strings.Fields(`j jump add-set and-mark and-tos checksum-fill clamp-mss-to-pmtu clustermac ctevents ctmask del-set ecn-tcp-remove exist expevents gateway
	hash-init hashmode helper label local-node log-ip-options log-level log-prefix log-tcp-options log-tcp-sequence log-uid mask new nfmask nflog-group nflog-prefix
	nflog-range nflog-threshold nodst notrack on-ip on-port or-mark or-tos persistent queue-balance queue-bypass queue-num random rateest-ewmalog rateest-interval
	rateest-name reject-with restore restore-mark save-mark selctx set-class set-dscp set-dscp-class set-mark set-mss set-tos set-xmark strip-options timeout to
	to-destination to-ports to-source total-nodes tproxy-mark ttl-dec ttl-inc ttl-set type ulog-cprange ulog-nlgroup ulog-prefix ulog-qthreshold xor-mark xor-tos zone
	dst-pfx hl-dec hl-inc hl-set hmark-dport-mask hmark-dst-prefix hmark-mod hmark-offset hmark-proto-mask hmark-rnd hmark-spi-mask hmark-sport-mask hmark-src-prefix
	hmark-tuple led-always-blink led-delay led-trigger-id queue-cpu-fanout src-pfx to-port addr and-mask delude honeypot or-mask prefix reset reuse set-mac shift static
	tarpit tname ttl`)

var negation = lazyre.New(`(!|not)\s?`)

// negated takes a negation off a value.
func negated(v any) (string, any) {
	s := pytext.Str(v)
	if strings.HasPrefix(s, "!") || strings.HasPrefix(s, "not") {
		return "! ", negation.ReplaceAllString(s, "")
	}
	return "", v
}

// iptablesBuildRule makes a rule of iptables of its parts.
//
//	gosalt '*' iptables.build_rule match=state connstate=RELATED,ESTABLISHED jump=ACCEPT
//	gosalt '*' iptables.build_rule filter INPUT command=I position=3 full=True match=state connstate=RELATED,ESTABLISHED jump=ACCEPT
func iptablesBuildRule(ctx context.Context, c *module.Call, a iptablesBuildArgs) (string, error) {
	if _, err := iptablesProgram(c, "ipv4"); err != nil {
		return "", err
	}
	rule := ruleText(a.Kwargs)
	if strings.HasPrefix(rule, "Error:") || !module.Truth(a.Full) {
		return rule, nil
	}
	switch {
	case a.Table == "":
		return "Error: Table needs to be specified", nil
	case a.Chain == "":
		return noChain, nil
	case a.Command == "":
		return "Error: Command needs to be specified", nil
	}
	flag := "--"
	if strings.Contains("ACDIRLSFZNXPE", a.Command) {
		flag = "-"
	}
	prog, wait, err := iptablesWait(ctx, c, a.Family)
	return strings.Join([]string{prog, wait, "-t", a.Table, flag + a.Command, a.Chain, pytext.Str(a.Position), rule}, " "), err
}

// ruleText is what a rule asks and does, in the order in which iptables takes it.
func ruleText(kwargs *wire.Map) string {
	kw := wire.NewMap()
	for k, v := range kwargs.Strings() {
		if !strings.HasPrefix(k, "__") && !slices.Contains(notOfRule, k) {
			kw.Set(k, v)
		}
	}
	take := func(key string) (any, bool) {
		v, ok := kw.Get(key)
		kw.Delete(key)
		return v, ok
	}
	if v, ok := take("target"); ok {
		kw.Set("jump", v)
	}
	var rule []string
	add := func(key, flag string) bool {
		v, ok := take(key)
		if ok {
			not, v := negated(v)
			rule = append(rule, not+flag+" "+pytext.Str(v))
		}
		return ok
	}
	module := func(name string) {
		if !slices.Contains(rule, "-m "+name) {
			rule = append(rule, "-m "+name)
		}
	}
	add("if", "-i")
	add("of", "-o")
	if v, ok := kw.Get("proto"); ok && pytext.Str(mapValue(kw, "match")) != "policy" {
		kw.Delete("proto")
		kw.Set("protocol", v)
	}
	protocol := add("protocol", "-p")
	ruleMatches(kw, &rule, take, add)
	if kw.Has("connstate") {
		module("state")
		add("connstate", "--state")
	}
	add("dport", "--dport")
	add("sport", "--sport")
	for _, key := range []string{"dports", "sports"} {
		if v, ok := take(key); ok {
			if !slices.Contains(rule, "-m multiport") {
				if !protocol {
					return "Error: protocol must be specified"
				}
				module("multiport")
			}
			ports, not := rulePorts(v)
			if not {
				rule = append(rule, "!")
			}
			rule = append(rule, "--"+key+" "+ports)
		}
	}
	if v, ok := take("comment"); ok {
		module("comment")
		rule = append(rule, `--comment "`+pytext.Str(v)+`"`)
	}
	if v, ok := kw.Get("set"); ok && pytext.Str(v) != "" && v != nil && v != false {
		add("set", "--match-set")
	}
	var after []string
	for _, key := range afterJump {
		if v, ok := take(key); ok {
			text := pytext.Str(v)
			switch {
			case v == nil || v == "":
				after = append(after, "--"+key)
			case strings.ContainsFunc(text, unicode.IsSpace):
				after = append(after, "--"+key+` "`+text+`"`)
			default:
				after = append(after, "--"+key+" "+text)
			}
		}
	}
	for key, v := range kw.Strings() {
		not, v := negated(v)
		flag, text := "--", ""
		if len(key) == 1 {
			flag = "-"
		}
		if v != nil && v != "" {
			text = " " + pytext.Str(v)
		}
		rule = append(rule, not+flag+key+text)
	}
	return strings.Join(append(rule, after...), " ")
}

// ruleMatches adds the modules that a rule names, and sets.
func ruleMatches(kw *wire.Map, rule *[]string, take func(string) (any, bool), add func(string, string) bool) {
	if v, ok := kw.Get("match"); ok {
		list, isList := v.([]any)
		if !isList {
			list = anyList(strings.Split(pytext.Str(v), ","))
		}
		for _, m := range list {
			name := pytext.Str(m)
			*rule = append(*rule, "-m "+name)
			if n := strings.TrimSpace(name); n == "pknock" || n == "quota2" || n == "recent" {
				if v, ok := take("name_"); ok {
					*rule = append(*rule, "--name "+pytext.Str(v))
				}
			}
		}
		if v == "policy" {
			add("proto", "--proto")
		}
		kw.Delete("match")
	}
	if v, ok := take("match-set"); ok {
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		for _, e := range list {
			not, e := negated(e)
			*rule = append(*rule, "-m set "+not+"--match-set "+pytext.Str(e))
		}
	}
}

// rulePorts joins ports; one that is negated negates all.
func rulePorts(v any) (ports string, not bool) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, e := range list {
		n, e := negated(e)
		not = not || n != ""
		out = append(out, pytext.Str(e))
	}
	return strings.Join(out, ","), not
}

// ruleOptions are the short options of iptables-save, and those that have another name.
var ruleOptions = map[string]string{"-A": "append", "-D": "delete", "-I": "insert", "-R": "replace", "-L": "list", "-F": "flush", "-Z": "zero", "-N": "new-chain",
	"-X": "delete-chain", "-P": "policy", "-E": "rename-chain", "-p": "protocol", "-s": "source", "-d": "destination", "-j": "jump", "-g": "goto", "-i": "in-interface",
	"-o": "out-interface", "-f": "fragment", "-c": "set-counters", "-m": "match", "--sport": "source_port", "--source-port": "source_port", "--dport": "destination_port",
	"--destination-port": "destination_port", "--sports": "source-ports", "--dports": "destination-ports", "--src-cc": "source-country", "--dst-cc": "destination-country"}

// parseRules reads what iptables-save prints.
func parseRules(text string) (*wire.Map, error) {
	ret := wire.NewMap()
	var table *wire.Map
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "*"):
			table = wire.NewMap()
			ret.Set(strings.ReplaceAll(line, "*", ""), table)
		case strings.HasPrefix(line, ":") && table != nil:
			f := strings.Fields(line)
			if len(f) < 3 {
				return nil, module.Failf("saved rules: line %q: a chain, its policy and counters were expected", line)
			}
			packets, bytes, _ := strings.Cut(strings.Trim(f[2], "[]"), ":")
			table.Set(f[0][1:], wire.NewMap("policy", f[1], "packet count", packets, "byte count", bytes, "rules", []any{}, "rules_comment", wire.NewMap()))
		case strings.HasPrefix(line, "-A") && table != nil:
			chain, rule, err := parseRule(line)
			if err != nil {
				return nil, err
			}
			m := table.Map(chain)
			if m == nil {
				return nil, module.Failf("saved rules: line %q: there is no chain %s", line, chain)
			}
			if l := rule.List("comment"); l != nil {
				m.Map("rules_comment").Set(strings.Trim(pytext.Str(l[0]), `"`), rule)
			}
			m.Set("rules", append(m.List("rules"), any(rule)))
		}
	}
	return ret, nil
}

// parseRule reads one rule: options, each with its values.
func parseRule(line string) (chain string, rule *wire.Map, err error) {
	words, err := host.Words(line)
	if err != nil {
		return "", nil, module.Failf("saved rules: line %q: %w", line, err)
	}
	rule = wire.NewMap()
	for i := 0; i < len(words); {
		not := ""
		if words[i] == "!" && i+1 < len(words) && strings.HasPrefix(words[i+1], "-") {
			not = "!"
			i++
		}
		option := words[i]
		i++
		if !strings.HasPrefix(option, "-") {
			continue
		}
		var values []string
		if not != "" {
			values = append(values, not)
		}
		for i < len(words) && words[i] != "!" && (!strings.HasPrefix(words[i], "-") || option == "--comment" && len(values) == 0) {
			values = append(values, words[i])
			i++
		}
		key := ruleOptions[option]
		if key == "" {
			key = strings.TrimLeft(option, "-")
		}
		value := strings.Join(values, " ")
		if key == "append" {
			chain = value
			continue
		}
		rule.Set(key, append(rule.List(key), any(value)))
	}
	return chain, rule, nil
}
