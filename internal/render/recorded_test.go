package render_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// differences are recordings that gosalt answers otherwise on purpose, with the reason.
var differences = func() map[string]string {
	m := map[string]string{}
	for reason, templates := range map[string][]string{
		"sets keep the order of insertion": {
			"{{ 'abc'|unique }}", "{{ 'a\\nb\\n'|unique }}", "{{ 'gr\\u00fc\\u00df \\u4e2d'|unique }}",
			"{{ (1,2,3)|union('bcd')|sort }}", "{{ (1,2,3)|symmetric_difference('bcd')|sort }}", "{{ range(3)|symmetric_difference('bcd')|sort }}",
		},
		"the message names the expression": {
			"{{ 'a'|regex_search('(') }}", "{{ 'a'|regex_match('(') }}", "{{ 'a'|regex_search('(',ignorecase=True) }}", "{{ 'a'|regex_match('(',multiline=True) }}",
			"{{ 'a'|regex_replace('(','<\\\\g<0>>') }}", "{{ 'a' is match('(') }}",
			"{{ 'a'|regex_search('[a-') }}", "{{ 'a'|regex_match('[a-') }}", "{{ 'a'|regex_search('[a-',ignorecase=True) }}", "{{ 'a'|regex_match('[a-',multiline=True) }}",
			"{{ 'a'|regex_replace('[a-','<\\\\g<0>>') }}", "{{ 'a' is match('[a-') }}", "{{ 'foo bar'|regex_replace('(?P<n>o+)', '\\\\g<') }}",
		},
		"attributes with underscores are out of reach":        {"{{ 'a'|method_call('__class__') }}"},
		"Salt fails where it words its own error":             {"{{ {}|update_dict_key_value('a:b',[1],ordered_dict=True) }}"},
		"an address in memory":                                {"{{ raise }}"},
		"Salt stumbles over what cannot be written":           {"{{ {'r':['a','b']}|xml }}", "{{ {'r':[{'a':1},{'b':{'c':[]}}]}|xml }}"},
		"Salt forgets that a list of templates may be a list": {"{% extends ['nothere.j2','base.j2'] %}"},
		"Salt cannot print the groups of groupby":             {"{{ [{'g':1,'v':'a'},{'g':2,'v':'b'},{'g':1,'v':'c'}]|groupby('g') }}{% for g, l in [{'g':'x'},{'q':1}]|groupby('g', default='none') %}{{ g }}{{ l|length }};{% endfor %}"},
		"names of characters would take a large table":        {`{{ "a\x41\u00e9\n\\"|length }}{{ 'a\'b' }}{{ "\N{BULLET}" }}`},
		"the newer words of Python":                           {"{{ odict([1]) }}"},
		"the wire has no keys that are lists":                 {"{{ {(1,2):3}|yaml }}"},
	} {
		for _, t := range templates {
			m[t] = reason
		}
	}
	return m
}()

// TestRecordedFilters holds Salt's filters, tests, globals and statements against what
// the real Salt 3006.18 made of the same templates. Of errors the message is compared,
// without the line and the excerpt.
func TestRecordedFilters(t *testing.T) {
	replay(t, "testdata/filters.json", tree{"map.jinja": "{% set a = 1 %}\n"})
}

// TestRecordedLanguage does so with the statements and expressions of Jinja itself, in
// Salt's environment.
func TestRecordedLanguage(t *testing.T) {
	replay(t, "testdata/language.json", tree{
		"base.j2": "[{% block a %}A{% endblock %}|{% block b %}B{{ self.a() }}{% endblock %}]",
		"mid.j2":  "{% extends 'base.j2' %}{% block a %}m{{ super() }}{% endblock %}",
		"mac.j2":  "{% macro m(a, b=2, *c, **d) %}{{ a }},{{ b }},{{ c }},{{ d }}{% endmacro %}{% set v = 5 %}{% macro ctx() %}{{ outer|default('none') }}{% endmacro %}",
		"inc.j2":  "<{{ x|default('nox') }}>",
	})
}

func replay(t *testing.T, name string, files tree) {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		In  string
		Out *string
		Err string
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	local := time.Local
	time.Local = time.UTC
	defer func() { time.Local = local }()
	bad := 0
	for _, c := range cases {
		if differences[c.In] != "" {
			continue
		}
		got, err := renderText(files, c.In)
		switch {
		case c.Out != nil && err == nil && got == *c.Out:
			continue
		case c.Out == nil && err != nil:
			msg, _, _ := strings.Cut(err.Error(), "; line ")
			msg, _, _ = strings.Cut(msg, "\n/srv/salt")
			if strings.TrimSpace(msg) == strings.TrimSpace(c.Err) {
				continue
			}
		}
		if bad++; bad > 400 {
			continue
		}
		want := c.Err
		if c.Out != nil {
			want = *c.Out
		}
		if err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n\n")
		}
		t.Errorf("%s\n     got %q\n    want %q", c.In, got, want)
	}
	t.Logf("%d templates, %d differ", len(cases), bad)
}
