package modules

import (
	"context"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestLint(t *testing.T) {
	c := statesCall(t, map[string]string{
		"good.sls":    "a:\n  test.nop\nb:\n  test.nop:\n    - require:\n      - test: a\n      - sls: good\n",
		"tab.sls":     "a:\n\ttest.nop: []\n",
		"mode.sls":    "a:\n  file.directory:\n    - name: /x\n    - mode: 0755\n    - file_mode: 0o644\nb:\n  file.directory:\n    - mode: 0789\n",
		"req.sls":     "web:\n  test.nop\nconf:\n  test.nop:\n    - watch:\n      - test: wbe\n",
		"other.sls":   "x:\n  test.nop:\n    - require:\n      - test: a\n",
		"dup.sls":     "x: test.nop\nx: test.nop\n",
		"func.sls":    "x:\n  test.nopp: []\ny:\n  file.directry:\n    - name: /x\n",
		"arg.sls":     "x:\n  file.directory:\n    - name: /x\n    - makedir: True\n",
		"jinja.sls":   "a:\n  test.nop:\n    - x: {{ nope }}\n",
		"chain.sls":   "{% import 'bad.jinja' as b %}\n",
		"bad.jinja":   "\n{{ undefd }}\n",
		"pillar.sls":  "app:\n  port: 80\n  pkg:\n    name: x\n  service: web\n  users:\n    - a\nlist: [1, 2]\n",
		"p/top.sls":   "base:\n  '*':\n    - app\n",
		"typo.sls":    "x:\n  pkgg.installed: []\n",
		"salts.sls":   "x:\n  npm.installed: []\n",
		"short.sls":   "x:\n  pkg: installed\n",
		"ext.sls":     "extend:\n  a:\n    test:\n      - x: 1\n",
		"empty.sls":   "{# nothing #}\n",
		"ofempty.sls": "include: [empty]\nof:\n  test.nop:\n    - require: [{sls: empty}, {sls: good}, {sls: goood}]\n",
		"named.sls":   "z:\n  test.nop:\n    - require: [{test: a name}]\n",
		"names.sls":   "zz:\n  test.nop:\n    - name: a name\n",
		"include.sls": "include:\n  - nothere\na: test.nop\n",
	})
	reg := New()
	res := reg.Run(context.Background(), c, "slsutil.lint", nil, nil)
	if res.Err != nil || res.Retcode != 1 {
		t.Fatal(res.Err, res.Retcode)
	}
	var lines []string
	for _, l := range res.Return.([]any) {
		lines = append(lines, l.(string))
	}
	got := strings.Join(lines, "\n")
	for _, want := range []string{
		"salt://tab.sls:2:1: error: a tab indents this line: YAML takes spaces only [tab]",
		"salt://mode.sls:5:18: error: 0o644 is text for Salt's YAML: write '0644' [mode]",
		"salt://mode.sls:8:13: error: 0789 is no mode: its digits go from 0 to 7 [mode]",
		"salt://req.sls:4:3: error: watch of conf names test: wbe, which there is not: did you mean web? [requisite]",
		"salt://other.sls:2:3: warning: require of x names test: a, which there is not by itself: it is in SLS ",
		"salt://dup.sls:2:1: error: found conflicting ID 'x' [duplicate-id]",
		"salt://func.sls:2:3: error: gosalt has no state test.nopp: did you mean test.nop? [unknown-state]",
		"salt://func.sls:4:3: error: gosalt has no state file.directry: did you mean file.directory? [unknown-state]",
		"salt://arg.sls:2:3: warning: file.directory has no argument makedir: did you mean makedirs? [unknown-argument]",
		"salt://jinja.sls:3: error: Jinja variable 'nope' is undefined [render]",
		"salt://bad.jinja:2: error: Jinja variable 'undefd' is undefined [render]",
		"salt://typo.sls:2:3: error: gosalt has no state pkgg.installed: did you mean pkg.installed? [unknown-state]",
		"salt://salts.sls:2:3: warning: gosalt has no state npm.installed: npm is one of Salt's modules that it does not have [unknown-state]",
		"salt://short.sls:2:3: error: State 'x' in SLS 'short' is not formed as a list [structure]",
		"salt://ext.sls:2:3: warning: Cannot extend ID 'a' in 'base:ext'. It is not part of the high state. It is in SLS ",
		"salt://ofempty.sls:3:3: warning: require of of names sls: empty, which has no states here [requisite]",
		"salt://ofempty.sls:3:3: warning: require of of names sls: good, which is not included [include]",
		"salt://ofempty.sls:3:3: error: require of of names sls: goood, which there is not: did you mean good? [requisite]",
		"salt://named.sls:2:3: warning: require of z names test: a name, which there is not by itself: it is in SLS names, which is not included [include]",
		"salt://include.sls:1:1: error: Specified SLS nothere in saltenv base is not available on the salt master or through a configured fileserver [include]",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(got, "/good.sls") || strings.Contains(got, "pillar.sls") || strings.Contains(got, "top.sls") || t.Failed() {
		t.Errorf("got:\n%s", got)
	}

	res = reg.Run(context.Background(), c, "slsutil.lint", []any{"good"}, nil)
	if res.Retcode != 0 || pytext.Repr(res.Return) != "[]" {
		t.Errorf("good: %v (%d)", res.Return, res.Retcode)
	}
	res = reg.Run(context.Background(), c, "slsutil.lint", []any{"req"}, wire.NewMap("format", "sarif"))
	run := res.Return.(*wire.Map).List("runs")[0].(*wire.Map)
	first := run.List("results")[0].(*wire.Map)
	if first.Text("ruleId") != "requisite" || first.Text("level") != "error" || len(run.List("results")) != 1 {
		t.Errorf("sarif: %s", pytext.Repr(res.Return))
	}
	if res = reg.Run(context.Background(), c, "slsutil.lint", []any{"nope"}, nil); res.Retcode == 0 {
		t.Error("an SLS that is not there is no error")
	}
}
