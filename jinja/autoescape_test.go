package jinja_test

import (
	"testing"

	"github.com/gosalt/gosalt/jinja"
)

// Results are those of jinja2 3.1.2.
func TestAutoescape(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"text and safe text", "{% autoescape true %}{{ '<' }}{{ '<'|safe }}{{ x ~ '>' }}{{ x ~ ('>'|safe) }}{% endautoescape %}{{ '<' }}", "&lt;<&lt;&gt;&lt;><"},
		{"a macro from outside", "{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}{% autoescape true %}{{ m('<') }}{% endautoescape %}{{ m('<') }}", "<b><</b><b><</b>"},
		{"a macro of its own", "{% autoescape true %}{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}{{ m('<') }}{% endautoescape %}", "<b>&lt;</b>"},
		{"set blocks and values", "{% autoescape true %}{% set x %}<{{ '<' }}>{% endset %}{{ x }}{% set y = '<' %}{{ y }}{{ [1,'<'] }}{{ {'a':'<'} }}{% endautoescape %}", "<&lt;>&lt;[1, &#39;&lt;&#39;]{&#39;a&#39;: &#39;&lt;&#39;}"},
		{"off inside of on", "{% autoescape true %}{{ x }}{% autoescape false %}{{ x }}{% endautoescape %}{{ x }}{% endautoescape %}", "&lt;<&lt;"},
		{"known only when it runs", "{% set on = true %}{% autoescape on %}{{ x }}{% endautoescape %}{% autoescape not on %}{{ x }}{% endautoescape %}", "&lt;<"},
		{"filters", "{% autoescape true %}{% filter upper %}<a>{{ '<b>' }}{% endfilter %}{{ '<'|e }}{{ '<'|upper }}{{ ['<','>'|safe]|join(',<') }}{{ '<a>'|replace('a','<') }}{{ {'a':'<'}|xmlattr }}{% endautoescape %}", `<A>&LT;B&GT;&lt;&lt;&lt;,&lt;>&lt;&lt;&gt; a="&lt;"`},
		{"call", "{% autoescape true %}{% macro w() %}<i>{{ caller() }}</i>{% endmacro %}{% call w() %}{{ '<' }}&{% endcall %}{% endautoescape %}", "<i>&lt;&</i>"},
		{"join of nothing safe", "{% autoescape true %}{{ ['<','>']|join(',') }}{% endautoescape %}", "&lt;,&gt;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl, err := jinja.New().FromString(c.text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tmpl.Render(t.Context(), map[string]any{"x": "<"})
			if err != nil || got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}
