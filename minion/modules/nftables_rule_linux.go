package modules

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

type nftBuildArgs struct {
	Table    string    `default:"None"` // The table.
	Chain    string    `default:"None"` // The chain: input.
	Command  string    `default:"None"` // What is done with the rule: insert, add, delete.
	Position any       `default:""`     // Place in the chain, for insert.
	Full     any       `default:"None"` // The text "True": return the whole command.
	Family   string    `default:"ipv4"` // ipv4, ipv6, inet, arp, bridge or netdev.
	Kwargs   *wire.Map `arg:"**"`       // What the rule asks and does: if, of, proto, connstate, icmp-type, pkttype, counter, source, destination, dport, sport, dports, sports, jump, redirect-to, to-source, to-destination, reject-with.
}

// nftBuildRule makes a rule of nftables of its parts.
//
//	gosalt '*' nftables.build_rule connstate=related,established jump=accept
//	gosalt '*' nftables.build_rule filter input command=insert position=3 full='"True"' proto=tcp dport=22 jump=accept
func nftBuildRule(_ context.Context, c *module.Call, a nftBuildArgs) (*wire.Map, error) {
	if whichProgram("nft") == "" {
		return nil, &module.Error{Kind: module.NotAvailable, Msg: "'" + c.Fun() + "' is not available: nftables is not installed."}
	}
	family, err := nftFamily(a.Family)
	if err != nil {
		return nil, err
	}
	rule, err := nftRuleText(a.Kwargs, family)
	if err != nil {
		return nil, err
	}
	told := func(comment, rule string, result bool) (*wire.Map, error) {
		return wire.NewMap("comment", comment, "rule", rule, "result", result), nil
	}
	if a.Full == "True" || a.Full == "true" { // as a text: states give True, and show the rule alone
		switch {
		case a.Table == "":
			return told("Table needs to be specified", rule, false)
		case a.Chain == "":
			return told(nftNoChain, rule, false)
		case a.Command == "":
			return told("Command needs to be specified", rule, false)
		}
		words := []string{"nft", a.Command, "rule", family, a.Table, a.Chain}
		if slices.Contains([]string{"Insert", "insert", "INSERT"}, a.Command) {
			words[1] = "insert"
			if module.Truth(a.Position) {
				words = append(words, "position", pytext.Str(a.Position))
			}
		}
		rule = strings.Join(append(words, rule), " ")
	}
	comment := ""
	if rule != "" {
		comment = "Successfully built rule"
	}
	return told(comment, rule, true)
}

// nftRuleText is what a rule asks and does, in the order in which Salt puts it.
func nftRuleText(kw *wire.Map, family string) (string, error) {
	var b strings.Builder
	add := func(words ...string) {
		for _, w := range words {
			b.WriteString(w + " ")
		}
	}
	text := func(key string) (string, bool) {
		v, ok := kw.Get(key)
		return pytext.Str(v), ok
	}
	either := func(one, other string) (string, bool) {
		v, ok := kw.Get(one)
		if w, has := kw.Get(other); has && !module.Truth(v) {
			v, ok = w, true
		}
		return pytext.Str(v), ok
	}
	// Addresses in tables of both kinds are asked by their own.
	ofAddress := func(addr string) string {
		switch {
		case family != "inet" && family != "bridge" && family != "netdev":
			return family
		case strings.Contains(addr, ":"):
			return "ip6"
		}
		return "ip"
	}
	if v, ok := text("if"); ok {
		add("meta iifname", v)
	}
	if v, ok := text("of"); ok {
		add("meta oifname", v)
	}
	if v, ok := text("connstate"); ok {
		add("ct state {", v, "}")
	}
	if v, ok := text("icmp-type"); ok {
		add("icmp type {", v, "}")
	}
	if v, ok := text("pkttype"); ok {
		add("meta pkttype {", v, "}")
	}
	if kw.Has("counter") {
		add("counter")
	}
	if v, ok := either("saddr", "source"); ok {
		add(ofAddress(v), "saddr", v)
	}
	if v, ok := either("daddr", "destination"); ok {
		add(ofAddress(v), "daddr", v)
	}
	for _, key := range []string{"dport", "sport"} {
		if v, ok := text(key); ok {
			add(key, "{", strings.ReplaceAll(v, ":", "-"), "}")
		}
	}
	for _, key := range []string{"dports", "sports"} {
		if v, ok := text(key); ok {
			ports, err := nftPorts(v)
			if err != nil {
				return "", module.Invalidf("%s %q: numbers with commas between them are expected", key, v)
			}
			add(strings.TrimSuffix(key, "s"), "{", ports, "}")
		}
	}
	if v, ok := text("target"); ok {
		add(v)
	} else if v, ok := text("jump"); ok {
		add(v)
	}
	if v, ok := text("j"); ok {
		add(v)
	}
	if v, ok := either("redirect-to", "to-port"); ok {
		add("redirect to", v)
	}
	if v, ok := text("to-ports"); ok {
		add("--to-ports", v)
	}
	if v, ok := text("to-source"); ok {
		add(v)
	}
	if v, ok := text("to-destination"); ok {
		add(v)
	}
	if v, ok := text("reject-with"); ok {
		add("reject with", v)
	}
	proto := ""
	if v, ok := text("proto"); ok {
		proto = v
	}
	rule := strings.TrimSpace(b.String())
	for _, port := range []string{"dport", "sport"} {
		rule = strings.ReplaceAll(rule, port, proto+" "+port)
	}
	return rule, nil
}

// nftPorts sorts ports, the highest first, as nft once listed them.
func nftPorts(text string) (string, error) {
	var ports []int
	for p := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil {
			return "", err
		}
		ports = append(ports, n)
	}
	slices.SortFunc(ports, func(a, b int) int { return b - a })
	words := make([]string, len(ports))
	for i, p := range ports {
		words[i] = strconv.Itoa(p)
	}
	return strings.Join(words, ", "), nil
}
