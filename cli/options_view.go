package cli

import "github.com/gosalt/gosalt/internal/optparse"

const groupView = "Beyond Salt"

// ViewOptions are gosalt's own ways of showing results.
type ViewOptions struct {
	Live         bool // --live: lines as they are printed
	Fold         bool // --fold: equal results once
	DiffHosts    bool // --diff-hosts: how results differ from the most common one
	JSONDocument bool // --json-document: all of a job as one JSON value, or as JSON Lines with Live
}

func (v *ViewOptions) declare(p *optparse.Parser) {
	g := p.Add(groupView,
		optparse.Flag(&v.Live, "live", "--live").
			Help("Show what commands print while they run, each line after the name of its minion: | for standard output, ! for standard error. Then the results as always; with --out=json JSON Lines of both. Salt's own minions have no live lines."),
		optparse.Flag(&v.Fold, "fold", "--fold").
			Help("Show equal results once, with the set of minions that returned them, as web[01-20]: the most common first, failures last."),
		optparse.Flag(&v.DiffHosts, "diff_hosts", "--diff-hosts").
			Help("Show the most common result, and the others as their differences from it."),
		optparse.Flag(&v.JSONDocument, "json_document", "--json-document").
			Help("Show the whole job as one JSON document: jid, returns, retcodes, and who is missing and why. With --live as JSON Lines, while it goes on."),
	)
	g.Description = "What Salt's command does not have."
}

// check refuses options that contradict each other.
func (v *ViewOptions) check(o *GosaltOptions) error {
	for _, c := range []struct {
		a, b bool
		text string
	}{
		{v.Live, o.Async, "--live waits for output, and --async does not wait: leave out one of them"},
		{v.Live, o.Progress, "--live shows what is printed, and --progress only how many have returned: leave out one of them"},
		{v.Fold || v.DiffHosts, o.Async, "--fold and --diff-hosts show results, and --async does not wait for any: leave out one of them"},
		{v.Fold || v.DiffHosts, o.Progress, "--fold and --diff-hosts show results, and --progress only how many have returned: leave out one of them"},
		{v.JSONDocument, v.Fold || v.DiffHosts, "--json-document is for programs, --fold and --diff-hosts are for people: leave out one of them"},
		{v.JSONDocument, o.Progress, "--json-document holds the results, and --progress shows only how many have returned: leave out one of them"},
		{v.JSONDocument, o.Out.Output != "" && o.Out.Output != "json", "--json-document is JSON: leave out --out=" + o.Out.Output},
	} {
		if c.a && c.b {
			return o.Errorf("%s", c.text)
		}
	}
	return nil
}
